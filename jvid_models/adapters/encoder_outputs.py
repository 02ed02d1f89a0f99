"""The latents that an autoencoder of diffusers gives, whatever its class calls them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["latents_of"]


def latents_of(autoencoder: Any, frames: Tensor) -> Tensor:
    """Frames ``(b 3 H W)``, or clips, in [-1, 1] -> latents ``(b c H/factor W/factor)``, as the autoencoder scales them.

    The mean of the posterior where the encoder has one.
    """
    out = autoencoder.encode(frames)
    if hasattr(out, "latent_dist"):
        mode: Tensor = out.latent_dist.mode()
        return mode
    found: Tensor = out.latent if hasattr(out, "latent") else out.latents
    return found
