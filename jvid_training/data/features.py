"""A distance of frames in the features of a codec's image encoder.

    d(a, b) = sum_l mean |phi_l(a) - phi_l(b)| / mean |phi_l(b)|

phi_l: what the encoder holds before each halving of the resolution, and its latents. The encoder is at hand
wherever latents were made, so that a decoder's training needs no other network (in the manner of Johnson, Alahi
and Fei-Fei 2016, https://arxiv.org/abs/1603.08155).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from jvid.errors import InputError


class EncoderFeatures(nn.Module):
    """``codec`` holds a diffusers `AutoencoderTiny` (taesd); others raise `InputError`."""

    def __init__(self, codec: Any) -> None:
        super().__init__()
        encoder = getattr(getattr(codec, "autoencoder", None), "encoder", None)
        layers = getattr(encoder, "layers", None)
        if not isinstance(layers, nn.Sequential):
            raise InputError(
                f"training.perceptual needs a codec over AutoencoderTiny, such as taesd; got {type(codec).__name__}: "
                "set it to 0"
            )
        self.layers = layers.requires_grad_(False).eval()

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Frames ``(n 3 H W)`` in [-1, 1] -> features, from the highest resolution to the latents."""
        x = (frames + 1) / 2
        found = []
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1):
                found.append(x)
            x = layer(x)
        return [*found, x]

    def distance(self, video: Tensor, target: Tensor) -> Tensor:
        """Two videos ``(b 3 f H W)`` -> their distance per clip ``(b,)``; no gradient reaches ``target``."""
        b = len(video)
        with torch.no_grad():
            wanted = self(target.transpose(1, 2).flatten(0, 1))
        total = torch.zeros(b, device=video.device)
        for own, other in zip(self(video.transpose(1, 2).flatten(0, 1)), wanted, strict=True):
            difference = (own - other).abs().float().unflatten(0, (b, -1)).flatten(1).mean(1)
            total = total + difference / other.float().abs().mean()
        return total
