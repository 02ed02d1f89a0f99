"""Prompts to conditions by a pipeline's own ``encode_prompt``, for jvid's adapters of its network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn.functional import pad

from jvid.core.modules import Parts
from jvid.core.protocols import Condition
from jvid.errors import InputError
from jvid.machine.managed import arrive
from jvid_models.adapters.movable import movable
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.adapters.pipelines.placement import placed
from jvid_models.adapters.pipelines.turns import in_turn

__all__ = ["PipelineText", "QwenImageText", "WanText"]


@attrs.frozen(eq=False)
class PipelineText:
    """The text encoder of a pipeline with a UNet; its option ``negative_prompt`` is the null condition's."""

    denoiser: PipelineDenoiser

    @property
    def pipe(self) -> Any:
        """The pipeline."""
        return self.denoiser.pipe

    @property
    def negative(self) -> str:
        """The prompt of the null condition."""
        return str(self.denoiser.options.get("negative_prompt") or "")

    def modules(self) -> Parts:
        """The text encoder, if it may be moved."""
        return Parts(before=movable({"text_encoder": self.pipe.text_encoder}))

    @in_turn
    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Condition:
        """b prompts -> ``{"text": (b n w), "null": {"text": (b n w)}}``.

        Raises:
            InputError: no prompts, or one string.
        """
        if isinstance(prompts, str) or not prompts:
            raise InputError(
                f"got prompts {prompts!r}: expected a list of at least one ('' is unconditional)"
            )
        with placed(self.pipe):
            arrive(self.pipe.text_encoder)
            return self._encoded(list(prompts), [self.negative] * len(prompts))

    def _encoded(self, prompts: list[str], negative: list[str]) -> Condition:
        device = self.pipe._execution_device  # of offloaded parts too
        text, null = self.pipe.encode_prompt(prompts, device, 1, True, negative_prompt=negative)[:2]
        return {"text": text, "null": {"text": null}}

    @property
    def _length(self) -> int:
        """How many tokens the pipeline's call takes at most."""
        name = "max_sequence_length"
        return int(self.denoiser.options.get(name, self.denoiser.call.parameters[name].default))


@attrs.frozen(eq=False)
class WanText(PipelineText):
    """The text encoder of Wan's pipeline: all texts have one length, with zeros behind their tokens."""

    def _encoded(self, prompts: list[str], negative: list[str]) -> Condition:
        text, null = self.pipe.encode_prompt(prompts, negative, True, 1, max_sequence_length=self._length)
        return {"text": text, "null": {"text": null}}


@attrs.frozen(eq=False)
class QwenImageText(PipelineText):
    """The text encoder of Qwen-Image's pipeline: "length" is how many tokens of a text there are, the others are zeros."""

    def _encoded(self, prompts: list[str], negative: list[str]) -> Condition:
        texts, lengths = zip(*map(self._of, (prompts, negative)), strict=True)
        most = max(text.shape[1] for text in texts)
        text, null = (pad(each, (0, 0, 0, most - each.shape[1])) for each in texts)
        return {"text": text, "length": lengths[0], "null": {"text": null, "length": lengths[1]}}

    def _of(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        text, mask = self.pipe.encode_prompt(prompts, max_sequence_length=self._length)
        length = torch.full((len(text),), text.shape[1]) if mask is None else mask.sum(dim=1).cpu()
        return text, length
