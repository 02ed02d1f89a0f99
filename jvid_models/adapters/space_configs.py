"""A diffusers autoencoder's config, read as the latent space that it makes. Needs no diffusers.

z = scaling (E(x) - shift)     scaling_factor, shift_factor; latents_mean and latents_std where a model has them

The config does not identify the weights: autoencoders of one class and one config count as one space, as those of
Stable Diffusion 1.5, 2.1 and ModelScope are, unless a name distinguishes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jvid.core.spaces import LatentSpace
from jvid.errors import InputError

__all__ = ["space_of_config"]


def space_of_config(config: Mapping[str, Any], name: str | None = None) -> LatentSpace:
    """The latent space of an autoencoder's config; ``name`` of its weights, by default its class.

    Raises:
        InputError: a config without channels or blocks.
    """
    channels = config.get("latent_channels", config.get("z_dim"))
    if channels is None:
        raise InputError(
            f"an autoencoder's config with {', '.join(config) or 'nothing'}: expected latent_channels"
        )
    time, factor = _factors(config)
    scaling: Any = float(config.get("scaling_factor") or 1.0)
    shift: Any = float(config.get("shift_factor") or 0.0)
    if config.get("latents_std"):
        scaling = tuple(scaling / float(value) for value in config["latents_std"])
    if config.get("latents_mean"):
        shift = tuple(map(float, config["latents_mean"]))
    return LatentSpace(
        name or str(config.get("_class_name", "AutoencoderKL")), int(channels), factor, scaling, shift, time
    )


def _factors(config: Mapping[str, Any]) -> tuple[int, int]:
    """Frames and pixels to a latent."""
    if "dim_mult" in config:  # Wan: a halving before each level but the last, some of them in time too
        levels = len(config["dim_mult"]) - 1
        return 2 ** sum(map(bool, config.get("temperal_downsample", ()))), 2**levels
    blocks = config.get("block_out_channels") or config.get("encoder_block_out_channels")
    if not blocks:
        raise InputError(
            "an autoencoder's config without block_out_channels: give space=jvid.LatentSpace(...)"
        )
    return int(config.get("temporal_compression_ratio") or 1), 2 ** (len(blocks) - 1)
