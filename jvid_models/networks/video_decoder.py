"""The paper's video decoder: latents to frames with temporal layers, the image encoder kept as it is.

    h <- h + S(h)        two 3x3 convolutions, each frame by itself      (1,3,3)
    h <- h + T(h)        two convolutions over time, each place by itself (3,1,1)

per block, at 8x8 first and after three nearest doublings; temporal attention at the lowest resolution.
T and the attention end in zeros, so training starts from a framewise decoder. Most width is at the
small maps, where it is cheap. (Paper, sections 3.3 and 4.1: "we only train the decoder".)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from jvid.errors import InputError

__all__ = ["VideoDecoder"]


class VideoDecoder(nn.Module):
    """``(b c f h w)`` normalised latents -> frames ``(b 3 f 8h 8w)``, about [-1, 1]; any f, h, w.

    ``channels``: width at each resolution, lowest first (each but the first doubles the size); ``blocks``:
    pairs (S, T) at each, one at the highest. ``config`` holds the constructor's arguments.
    """

    def __init__(
        self,
        latent_channels: int = 4,
        channels: Sequence[int] = (128, 96, 64, 32),
        blocks: int = 2,
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        channels = tuple(channels)
        if not channels or blocks < 1 or any(width < 8 or width % 8 for width in channels):
            raise InputError(
                f"channels={channels}, blocks={blocks}: expected widths in multiples of 8 and at least 1 block"
            )
        self.config: dict[str, Any] = {
            "latent_channels": latent_channels,
            "channels": list(channels),
            "blocks": blocks,
            "out_channels": out_channels,
        }
        self.factor = 2 ** (len(channels) - 1)
        self.entry = nn.Conv2d(latent_channels, channels[0], 3, padding=1)
        self.attention = _TemporalAttention(channels[0])
        self.stages = nn.ModuleList()
        for index, width in enumerate(channels):
            count = blocks if index + 1 < len(channels) else 1
            self.stages.append(nn.ModuleList(_Block(width) for _ in range(count)))
        self.widen = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(channels)
        )
        self.exit_norm = _norm(channels[-1])
        self.exit = nn.Conv2d(channels[-1], out_channels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """``(b c f h w)`` -> ``(b out_channels f 8h 8w)``."""
        expected = self.config["latent_channels"]
        if latents.ndim != 5 or latents.shape[1] != expected:
            raise InputError(f"latents of shape {tuple(latents.shape)}: expected (b {expected} f h w)")
        frames = latents.shape[2]
        # Generated latents reach further than encoded ones; TAESD bounds them the same way.
        h = self.entry(torch.tanh(rearrange(latents, "b c f h w -> (b f) c h w") / 4) * 4)
        h = self.attention(h, frames)
        stages: Iterable[Any] = self.stages
        for index, stage in enumerate(stages):
            if index:
                h = self.widen[index - 1](F.interpolate(h, scale_factor=2.0, mode="nearest"))
            for block in stage:
                h = block(h, frames)
        h = self.exit(F.silu(self.exit_norm(h)))
        return rearrange(h, "(b f) c h w -> b c f h w", f=frames)


class _Block(nn.Module):
    """A spatial and a temporal residual: ``(b f) c h w`` in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            _norm(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            _norm(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.temporal = nn.Sequential(
            _norm(width),
            nn.SiLU(),
            _OverTime(width, width // 2, (3, 1, 1), padding=(1, 0, 0)),
            nn.SiLU(),
            _OverTime(width // 2, width, (3, 1, 1), padding=(1, 0, 0)),
        )
        _zero(self.temporal[-1])

    def forward(self, h: Tensor, frames: int) -> Tensor:
        h = h + self.spatial(h)
        clip = rearrange(h, "(b f) c h w -> b c f h w", f=frames)
        clip = clip + self.temporal(clip)
        return rearrange(clip, "b c f h w -> (b f) c h w")


class _OverTime(nn.Conv3d):
    """(3,1,1) as a convolution of the plane (f, h w): for Conv3d the CPU has no kernel of its own."""

    def forward(self, clip: Tensor) -> Tensor:
        plane = F.conv2d(clip.flatten(3), self.weight.squeeze(-1), self.bias, padding=(1, 0))
        return plane.unflatten(3, clip.shape[3:])


class _TemporalAttention(nn.Module):
    """Each place attends to itself in all frames; no positions, so any number of frames works."""

    def __init__(self, width: int, head_width: int = 32) -> None:
        super().__init__()
        self.heads = next(n for n in range(max(width // head_width, 1), 0, -1) if width % n == 0)
        self.norm = _norm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        _zero(self.out)

    def forward(self, h: Tensor, frames: int) -> Tensor:
        _, _, height, breadth = h.shape
        added = self.mixed(rearrange(self.norm(h), "(b f) c h w -> (b h w) f c", f=frames))
        return h + rearrange(added, "(b h w) f c -> (b f) c h w", h=height, w=breadth)

    def mixed(self, rows: Tensor) -> Tensor:
        """Normalised frames of each place ``(places f c)`` -> what is added to them."""
        q, k, v = rearrange(
            self.qkv(rows), "p f (three heads c) -> three p heads f c", three=3, heads=self.heads
        )
        attended = F.scaled_dot_product_attention(q, k, v)
        mixed: Tensor = self.out(rearrange(attended, "p heads f c -> p f (heads c)"))
        return mixed


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(8, width)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
