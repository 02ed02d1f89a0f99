"""A pipeline of two transformers as two experts: Wan 2.2's, one for high noise and one for low.

    t >= boundary_ratio T    transformer,   guidance_scale
    below                    transformer_2, guidance_scale_2

The two experts are pipelines of one transformer each; all other parts are shared. Source: diffusers,
https://github.com/huggingface/diffusers, ``pipelines/wan/pipeline_wan.py``.
"""

from __future__ import annotations

import inspect
from typing import Any

import attrs
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.plugins.choice import Choice
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.adapters.pipelines.fixed_parts import FixedParts
from jvid_models.adapters.pipelines.turns import in_turn

__all__ = ["HIGH", "LOW", "SECOND_SCALE", "boundary_of", "fixed_parts_of", "has_two", "split", "whole_of"]

HIGH, LOW = "high", "low"
SECOND_SCALE = "guidance_scale_2"


@attrs.frozen(eq=False)
class HalfDenoiser(PipelineDenoiser):
    """The denoiser of one transformer of a pipeline of two.

    Its pipeline is a copy without the other transformer. Further parts that the user's pipeline gets later are the copy's too.

    Attributes:
        whole: the denoiser of both.
        fixed: its transformer and the scheduler, in the user's pipeline.
    """

    whole: PipelineDenoiser = attrs.field(kw_only=True)
    fixed: FixedParts = attrs.field(kw_only=True)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype.

        Raises:
            InputError: a part that was replaced, or as of `PipelineDenoiser`.
        """
        self.fixed.check()
        self._follow()
        return super().__call__(x, t, cond)

    @in_turn
    def _follow(self) -> None:
        own = self.pipe
        for name, part in self.whole.pipe.components.items():
            if name not in _NOT_FOLLOWED and getattr(own, name) is not part:
                setattr(own, name, part)


_NOT_FOLLOWED = ("transformer", "transformer_2", "scheduler")


def split(denoiser: PipelineDenoiser) -> dict[str, PipelineDenoiser]:
    """The experts for high and low noise; none for a pipeline of one transformer."""
    pipe = denoiser.pipe
    if not has_two(pipe):
        return {}
    options = dict(denoiser.options)
    second = options.pop(SECOND_SCALE, None)
    low = options if second is None else {**options, "guidance_scale": second}

    def half(name: str, options: dict[str, Any]) -> PipelineDenoiser:
        return HalfDenoiser(
            _of_one(pipe, getattr(pipe, name)),
            options,
            denoiser.seed,
            denoiser.compared,
            whole=denoiser,
            fixed=FixedParts.of(pipe, name, "scheduler"),
        )

    return {HIGH: half("transformer", options), LOW: half("transformer_2", low)}


def whole_of(denoiser: PipelineDenoiser) -> PipelineDenoiser:
    """The denoiser of the user's own pipeline."""
    return denoiser.whole if isinstance(denoiser, HalfDenoiser) else denoiser


def fixed_parts_of(denoiser: PipelineDenoiser, network: str) -> FixedParts:
    """The network of a pipeline, by its name, and the scheduler, in the user's own pipeline."""
    if isinstance(denoiser, HalfDenoiser):
        return denoiser.fixed
    return FixedParts.of(denoiser.pipe, network, "scheduler")


def has_two(pipe: Any) -> bool:
    """Whether a pipeline goes from one transformer to another."""
    return _ratio(pipe) is not None and getattr(pipe, "transformer_2", None) is not None


def boundary_of(denoiser: PipelineDenoiser) -> Choice:
    """The selector that goes from one expert to the other where the pipeline does."""
    return Choice("boundary", {"experts": f"{HIGH}+{LOW}", "at": _ratio(denoiser.pipe), "by": "noise"})


def _ratio(pipe: Any) -> float | None:
    ratio = pipe.config.get("boundary_ratio")
    return None if ratio is None else float(ratio)


def _of_one(pipe: Any, transformer: Any) -> Any:
    """A pipeline of the same parts with one transformer."""
    parts = {
        **pipe.config,
        **pipe.components,
        "transformer": transformer,
        "transformer_2": None,
        "boundary_ratio": None,
    }
    names = list(inspect.signature(type(pipe).__init__).parameters)[1:]
    return type(pipe)(**{name: parts[name] for name in names if name in parts})
