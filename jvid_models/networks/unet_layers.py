"""The layers of Table 1's UNets under the names of diffusers' classes and weights, without diffusers.

`jvid_models.fast` opens these modules and calls what is in them, so most of them hold layers and have no forward. An import of
diffusers' UNets brings transformers, peft, scipy and torch's compiler where they are installed: several times what torch takes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = [
    "Attention",
    "BasicTransformerBlock",
    "DiffusersLayer",
    "Downsample2D",
    "ResnetBlock2D",
    "TemporalConvLayer",
    "TimestepEmbedding",
    "Timesteps",
    "Transformer2DModel",
    "TransformerTemporalModel",
    "Upsample2D",
]


class DiffusersLayer(nn.Module):
    """A module with the name, the layers and the settings of a class of diffusers."""


class Timesteps(DiffusersLayer):
    """Times ``(b)`` -> cosines and sines ``(b, width)`` of t 10000^(-2 i / width), float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, timesteps: Tensor) -> Tensor:
        """Each operation in diffusers' order: the bits are its own."""
        half = self.width // 2
        steps = torch.arange(start=0, end=half, dtype=torch.float32, device=timesteps.device)
        frequencies = torch.exp(-math.log(10000) * steps / half)
        angles = timesteps[:, None].float() * frequencies[None, :]
        waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)
        return nn.functional.pad(waves, (0, 1)) if self.width % 2 else waves


class TimestepEmbedding(DiffusersLayer):
    """``(b, width)`` -> ``(b, out)``."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, out)
        self.act = nn.SiLU()
        self.linear_2 = nn.Linear(out, out)

    def forward(self, waves: Tensor) -> Tensor:
        """Two linear layers."""
        embedded: Tensor = self.linear_2(self.act(self.linear_1(waves)))
        return embedded


class ResnetBlock2D(DiffusersLayer):
    """Two 3x3 convolutions, the time added between them, and a shortcut where the width changes."""

    time_embedding_norm = "default"
    skip_time_act = False
    output_scale_factor = 1.0

    def __init__(self, width: int, out: int, time: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width, eps=1e-5)
        self.conv1 = nn.Conv2d(width, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, out)
        self.norm2 = nn.GroupNorm(groups, out, eps=1e-5)
        self.dropout = nn.Dropout(0.0)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.nonlinearity = nn.SiLU()
        self.conv_shortcut = nn.Conv2d(width, out, 1) if width != out else None


class TemporalConvLayer(DiffusersLayer):
    """Four convolutions over the frames; each has as many channels in as out."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.GroupNorm(groups, width), nn.SiLU(), _over_frames(width))
        self.conv2, self.conv3, self.conv4 = (
            nn.Sequential(nn.GroupNorm(groups, width), nn.SiLU(), nn.Dropout(0.0), _over_frames(width))
            for _ in range(3)
        )


def _over_frames(width: int) -> nn.Conv3d:
    return nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))


class Attention(DiffusersLayer):
    """Attention of ``heads``, to ``text`` channels or to itself."""

    def __init__(self, width: int, heads: int, text: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(text or width, width, bias=False)
        self.to_v = nn.Linear(text or width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width), nn.Dropout(0.0)])


class GEGLU(DiffusersLayer):
    """``(*, width)`` -> ``(*, out)``: a linear layer times the GELU of another."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * out)

    def forward(self, x: Tensor) -> Tensor:
        """Both linear layers in one product."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        gated: Tensor = value * nn.functional.gelu(gate)
        return gated


class FeedForward(DiffusersLayer):
    """``(*, width)`` -> ``(*, width)``, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([GEGLU(width, 4 * width), nn.Dropout(0.0), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        """One layer after the other."""
        for module in self.net:
            x = module(x)
        return x


class BasicTransformerBlock(DiffusersLayer):
    """Self-attention, attention to the text (over frames: to itself again), and a feed-forward."""

    def __init__(self, width: int, heads: int, text: int | None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, heads, text)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)


class Transformer2DModel(DiffusersLayer):
    """Attention within a frame; ``linear``: projections are linear layers, and 1x1 convolutions if not."""

    def __init__(self, width: int, heads: int, text: int, groups: int, linear: bool) -> None:
        super().__init__()
        self.use_linear_projection = linear
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width) if linear else nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(width, heads, text)])
        self.proj_out = nn.Linear(width, width) if linear else nn.Conv2d(width, width, 1)


class TransformerTemporalModel(DiffusersLayer):
    """Attention of each place over the frames, ``inner`` channels wide."""

    def __init__(self, width: int, inner: int, heads: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Linear(width, inner)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(inner, heads, None)])
        self.proj_out = nn.Linear(inner, width)


class Downsample2D(DiffusersLayer):
    """A 3x3 convolution of stride 2."""

    norm = None
    use_conv = True
    padding = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)


class Upsample2D(DiffusersLayer):
    """Twice the size, then a 3x3 convolution."""

    norm = None
    use_conv = True
    use_conv_transpose = False
    interpolate = True
    name = "conv"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
