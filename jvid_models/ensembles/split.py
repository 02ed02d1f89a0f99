"""A pipeline of two transformers as two experts: Wan 2.2's, one for high noise and one for low.

    t >= boundary_ratio T    transformer,   guidance_scale
    below                    transformer_2, guidance_scale_2

The two experts are pipelines of one transformer each; all other parts are shared. Source: diffusers,
https://github.com/huggingface/diffusers, ``pipelines/wan/pipeline_wan.py``.
"""

from __future__ import annotations

import inspect
from typing import Any

from jvid.plugins.choice import Choice
from jvid_models.adapters.pipelines import PipelineDenoiser

__all__ = ["HIGH", "LOW", "SECOND_SCALE", "boundary_of", "has_two", "split"]

HIGH, LOW = "high", "low"
SECOND_SCALE = "guidance_scale_2"


def split(denoiser: PipelineDenoiser) -> dict[str, PipelineDenoiser]:
    """The experts for high and low noise; none for a pipeline of one transformer."""
    pipe = denoiser.pipe
    if not has_two(pipe):
        return {}
    options = dict(denoiser.options)
    second = options.pop(SECOND_SCALE, None)
    low = options if second is None else {**options, "guidance_scale": second}
    return {
        HIGH: PipelineDenoiser(_of_one(pipe, pipe.transformer), options, denoiser.seed, denoiser.compared),
        LOW: PipelineDenoiser(_of_one(pipe, pipe.transformer_2), low, denoiser.seed, denoiser.compared),
    }


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
