"""Where a pipeline has its loop, and what prepares the latents of it.

combined pipeline:   prior pipeline -> its embedding -> decoder pipeline, whose loop is the one that is evaluated
pixels:              a loop without an autoencoder behind it; what it returns are its latents
"""

from __future__ import annotations

from typing import Any

from torch import nn

from jvid.errors import InputError
from jvid.extras import extra
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.placement import DECODERS

with extra("models"):
    from diffusers import DiffusionPipeline

__all__ = ["autoencoder_of", "has_autoencoder", "loop_of", "preparing", "priors_of"]

_PREPARES = ("prepare_latents", "prepare_intermediate_images", "prepare_image_vae_latents")
"""Names of the method that prepares the latents of a loop."""


def loop_of(pipe: Any) -> Any:
    """The pipeline whose loop makes what is decoded: the pipeline itself, or the one of those it holds that has a decoder."""
    return next((each for each in _held(pipe).values() if has_autoencoder(each)), pipe)


def priors_of(pipe: Any) -> tuple[str, ...]:
    """The attributes with the other pipelines that a combined one holds: it calls them before."""
    loop = loop_of(pipe)
    return tuple(name for name, each in _held(pipe).items() if each is not loop) if loop is not pipe else ()


def preparing(pipe: Any) -> str | None:
    """The method of the pipeline with the loop that prepares its latents; None where it has none."""
    return next((name for name in _PREPARES if hasattr(loop_of(pipe), name)), None)


def has_autoencoder(pipe: Any) -> bool:
    """Whether a pipeline's latents are decoded; else they are pixels."""
    return any(name in DECODERS for name in modules_of(pipe))


def autoencoder_of(pipe: Any) -> nn.Module:
    """The module that turns a pipeline's latents into pixels.

    Raises:
        InputError: the pipeline has none.
    """
    modules = modules_of(pipe)
    for name in DECODERS:
        if name in modules:
            return modules[name]
    raise InputError(
        f"{type(pipe).__name__} has no autoencoder: expected a component 'vae' that decodes latents"
    )


def _held(pipe: Any) -> dict[str, Any]:
    return {name: each for name, each in vars(pipe).items() if isinstance(each, DiffusionPipeline)}
