"""A diffusers transformer as a network: what all of them have in common.

    network(x, t, cond) = transformer(x, n(t), text)

n is the time that the pipeline gives the transformer (`VisitedLevels.presented`). Short rows are evaluated together: weights
are then read once for all of them. Long ones gain nothing by it, and would need the memory of all rows at once: each is a call,
as it is in the pipeline. Measured for two rows in one call, against two calls (dimension 128 and 256, one thread): Wan 1.5
times as fast with 32 tokens a row, 1.1 with 128 and 320, 0.8 with 640; Qwen-Image 1.7 with 16, 1.1 with 256, 0.8 with 1,024.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from jvid.core.modules import Parts
from jvid.core.protocols import Condition
from jvid.errors import InputError
from jvid.machine.managed import arrive
from jvid_models.adapters.movable import movable
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.adapters.pipelines.caches import has_caches
from jvid_models.adapters.pipelines.fixed_parts import FixedParts
from jvid_models.adapters.pipelines.levels import VisitedLevels

__all__ = ["TransformerNetwork", "calls"]

MOST = 1024
"""Tokens of one call of several rows."""


@attrs.frozen(eq=False)
class TransformerNetwork(ABC):
    """The transformer of a pipeline, called in its own dtype, on its own device, at its own timestep.

    Attributes:
        owner: the denoiser of the whole pipeline, with the options of its calls.
        levels: of the pipeline's scheduler.
        fixed: the transformer and the scheduler of the user's pipeline.
    """

    owner: PipelineDenoiser
    levels: VisitedLevels
    fixed: FixedParts

    @property
    def pipe(self) -> Any:
        """The pipeline."""
        return self.owner.pipe

    @property
    def transformer(self) -> nn.Module:
        """The pipeline's transformer as it is now."""
        found: nn.Module = self.pipe.transformer
        return found

    @property
    def denoises(self) -> str:
        """What the pipeline makes: "clips" or single "frames"."""
        return self.owner.denoises

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> the prediction ``(b c f h w)`` in the transformer's dtype.

        Raises:
            InputError: a part of the pipeline that was replaced, or latents or a text that the transformer does not take.
        """
        self.fixed.check()
        return self._predicted(x, t, cond)

    @abstractmethod
    def _predicted(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """The prediction, while no other thread uses the pipeline."""

    def modules(self) -> Parts:
        """The transformer, if it may be moved."""
        return Parts(movable({"transformer": self.transformer}))

    def place(self) -> dict[str, Any]:
        """Device and dtype that the transformer computes in, with its weights there.

        Raises:
            InputError: a cache in it, whose states are the pipeline's own call's.
        """
        transformer: Any = self.transformer
        if has_caches(transformer):
            raise InputError(
                f"a cache was enabled in a {type(transformer).__name__} behind its ensemble: make the ensemble again"
            )
        arrive(transformer)
        return {"device": next(transformer.parameters()).device, "dtype": transformer.dtype}

    def timesteps(self, t: Tensor, rows: int) -> Tensor:
        """The transformer's times ``(rows,)`` at t ``()`` or ``(rows,)``, in the scheduler's dtype."""
        values = t.tolist() if t.ndim else [float(t)]
        known = {time: self.levels.presented(time).timestep for time in set(values)}
        return torch.stack([known[time] for time in values]).expand(rows)


def calls(rows: int, tokens: int) -> Iterator[slice]:
    """The rows of each call, for so many tokens a row."""
    most = max(1, MOST // tokens)
    return (slice(start, start + most) for start in range(0, rows, most))
