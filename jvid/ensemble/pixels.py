"""Clips whose latents are their pixels: for models that denoise pixels, and for oracles and tests."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from jvid.core.levels import require_latents
from jvid.errors import InputError

__all__ = ["PixelCodec"]


@attrs.frozen
class PixelCodec:
    """Latents ``(b c f h w)`` of one channel (grey) or three (RGB) as pixels in [-1, 1]; what lies beyond is cut off.

    Args:
        scale: the latents' absolute value that is mapped to 1.
    """

    scale: float = 1.0

    def __attrs_post_init__(self) -> None:
        if not self.scale > 0:
            raise InputError(f"scale {self.scale!r}: expected a number above 0")

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(b c f h w)``, c 1 or 3 -> video ``(b 3 f h w)`` in [-1, 1]."""
        require_latents(latents, "PixelCodec")
        if latents.shape[1] not in (1, 3):
            raise InputError(f"PixelCodec got {latents.shape[1]} channels: expected 1 (grey) or 3 (RGB)")
        pixels = torch.clamp(latents / self.scale, -1.0, 1.0)
        return pixels.expand(-1, 3, -1, -1, -1).contiguous()

    def encode(self, video: Tensor) -> Tensor:
        """Video ``(b 3 f h w)`` in [-1, 1] -> latents of three channels."""
        return video * self.scale
