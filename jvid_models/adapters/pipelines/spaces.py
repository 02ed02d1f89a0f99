"""The latent space of a pipeline, as measured: scale and shift of each channel on the way to its decoder, and its factors.

    z = scale x + shift,      LatentSpace(scaling = 1 / scale, shift = shift)

The numbers are those of the autoencoder's configuration where they agree with what was measured, so that the space of a pipeline
equals that of its configuration; else the measured ones, to six digits.
"""

from __future__ import annotations

import hashlib
from typing import Any

from torch import Tensor

from jvid.core.spaces import LatentSpace
from jvid.errors import InputError
from jvid_models.adapters.families import near
from jvid_models.adapters.pipelines.layout import PipelineLayout
from jvid_models.adapters.pipelines.loops import autoencoder_of, has_autoencoder, loop_of
from jvid_models.adapters.space_configs import space_of_autoencoder

__all__ = ["factors_of", "measured_space"]


def factors_of(pipe: Any) -> tuple[int, int]:
    """Pixels and frames to a latent, as the pipeline's own attributes have them."""
    if not has_autoencoder(pipe):
        return 1, 1
    pipe = loop_of(pipe)
    pixels = (
        "vae_scale_factor_spatial",
        "vae_spatial_compression_ratio",
        "vae_spatial_scale_factor",
        "vae_scale_factor",
    )
    frames = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio", "vae_temporal_scale_factor")
    factor = next((int(getattr(pipe, name)) for name in pixels if hasattr(pipe, name)), 8)
    return factor, next((int(getattr(pipe, name)) for name in frames if hasattr(pipe, name)), 1)


def measured_space(pipe: Any, layout: PipelineLayout) -> LatentSpace:
    """The space of latents of a layout."""
    vae: Any = autoencoder_of(pipe) if has_autoencoder(pipe) else None
    factor, rate = factors_of(pipe)
    name, channels = "pixels" if vae is None else type(vae).__name__, layout.shape[1]
    if layout.scale.ndim > 1:
        values = repr(
            [_digits(value) for each in (layout.scale, layout.shift) for value in each[0, :, 0].flatten()]
        )
        mark = hashlib.blake2b(values.encode(), digest_size=4).hexdigest()
        return LatentSpace(f"{name}, normalised by element ({mark})", channels, factor, frames=rate)
    scaling, shift = tuple(1.0 / float(v) for v in layout.scale), tuple(float(v) for v in layout.shift)
    stated = None if vae is None else _stated(vae)
    coarse = 1e-4 / min(map(abs, scaling))  # a shift is measured in the units of the scaled latents
    if (
        stated is not None
        and stated.channels == channels
        and near(scaling, stated.scaling, 0.0)
        and near(shift, stated.shift, coarse)
    ):
        return stated  # its encoder's family too
    return LatentSpace(name, channels, factor, tuple(map(_digits, scaling)), tuple(map(_digits, shift)), rate)


def _stated(vae: Any) -> LatentSpace | None:
    try:
        return space_of_autoencoder(vae)
    except InputError:  # a decoder of another kind
        return None


def _digits(value: float | Tensor) -> float:
    found = float(f"{float(value):.6g}")
    return 0.0 if abs(found) < 1e-6 else found
