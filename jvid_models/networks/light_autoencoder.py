"""diffusers' AutoencoderDC of residual blocks, without diffusers, whose import takes several times what torch takes.

    E(v) = conv(h) + mean of groups of h        h: residual blocks, and halvings by pixels to channels
    D(z) = act(norm(h)) up                      h: conv(z) + repeated z, residual blocks, doublings by channels to pixels

Chen et al. 2024, *Deep Compression Autoencoder* (https://arxiv.org/abs/2410.10733). Name, settings, weights and bits are those
of diffusers' class.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jvid_models.networks.settings import Settings

__all__ = ["AutoencoderDC", "is_light", "light_autoencoder"]

_ONLY = {
    "kind": "AutoencoderDC",
    "encoder_block_types": "ResBlock",
    "decoder_block_types": "ResBlock",
    "upsample_block_type": "pixel_shuffle",
    "downsample_block_type": "pixel_unshuffle",
    "decoder_norm_types": "rms_norm",
    "decoder_act_fns": "silu",
    "encoder_out_shortcut": True,
    "decoder_in_shortcut": True,
    "decoder_conv_act_fn": "relu",
}
_READ = (
    "in_channels", "latent_channels", "encoder_block_out_channels", "decoder_block_out_channels", "encoder_layers_per_block",
    "decoder_layers_per_block", "scaling_factor",
)  # fmt: skip
_IGNORED = ("attention_head_dim", "encoder_qkv_multiscales", "decoder_qkv_multiscales")  # of attention


def is_light(described: Mapping[str, Any]) -> bool:
    """Whether `light_autoencoder` makes an autoencoder of these options: it has no other blocks than residual ones."""
    names = {*_ONLY, *_READ}
    return names <= described.keys() <= names | {*_IGNORED} and all(
        described[name] == value for name, value in _ONLY.items()
    )


def light_autoencoder(described: Mapping[str, Any]) -> AutoencoderDC:
    """The autoencoder that `jvid_models.networks.autoencoder.Autoencoder` takes these options of, where `is_light`."""
    return AutoencoderDC(Settings({name: value for name, value in described.items() if name != "kind"}))


class AutoencoderDC(nn.Module):
    """What `light_autoencoder` makes; ``encode`` and ``decode`` are those of diffusers' class."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.config = settings
        channels, latent = settings.in_channels, settings.latent_channels
        self.encoder = _Encoder(
            channels, latent, settings.encoder_block_out_channels, settings.encoder_layers_per_block
        )
        self.decoder = _Decoder(
            channels, latent, settings.decoder_block_out_channels, settings.decoder_layers_per_block
        )

    def encode(self, frames: Tensor) -> SimpleNamespace:
        """Frames ``(b 3 H W)`` in [-1, 1] -> ``latent`` ``(b c h w)``."""
        return SimpleNamespace(latent=self.encoder(frames))

    def decode(self, latents: Tensor) -> SimpleNamespace:
        """Latents ``(b c h w)`` -> ``sample`` ``(b 3 H W)``, about [-1, 1]."""
        return SimpleNamespace(sample=self.decoder(latents))


class _Norm(nn.Module):
    """Each place of ``(b c h w)`` over the root of its mean square; diffusers' RMSNorm over the last dimension."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x.movedim(1, -1)
        variance = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
        x = x * torch.rsqrt(variance + 1e-5)
        if self.weight.dtype in (torch.float16, torch.bfloat16):
            x = x.to(self.weight.dtype)
        return (x * self.weight + self.bias).movedim(-1, 1)


class _ResidualBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = _Norm(width)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.norm(self.conv2(F.silu(self.conv1(x))))
        return added + x


class _Halve(nn.Module):
    """Half the size; with ``shortcut`` the pixels' means are added."""

    def __init__(self, width: int, out: int, shortcut: bool) -> None:
        super().__init__()
        self.group = width * 4 // out if shortcut else 0
        self.conv = nn.Conv2d(width, out // 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        made = F.pixel_unshuffle(self.conv(x), 2)
        return (
            made + F.pixel_unshuffle(x, 2).unflatten(1, (-1, self.group)).mean(dim=2) if self.group else made
        )


class _Double(nn.Module):
    """Twice the size; with ``shortcut`` the channels are added as pixels."""

    def __init__(self, width: int, out: int, shortcut: bool) -> None:
        super().__init__()
        self.repeats = out * 4 // width if shortcut else 0
        self.conv = nn.Conv2d(width, out * 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        made = F.pixel_shuffle(self.conv(x), 2)
        return made + F.pixel_shuffle(x.repeat_interleave(self.repeats, dim=1), 2) if self.repeats else made


class _Encoder(nn.Module):
    def __init__(self, channels: int, latent: int, widths: Any, layers: Any) -> None:
        super().__init__()
        self.conv_in = (
            nn.Conv2d(channels, widths[0], 3, padding=1) if layers[0] else _Halve(channels, widths[1], False)
        )
        self.down_blocks = nn.ModuleList()
        for level, (width, count) in enumerate(zip(widths, layers, strict=True)):
            stage: list[nn.Module] = [_ResidualBlock(width) for _ in range(count)]
            if count and level + 1 < len(widths):
                stage.append(_Halve(width, widths[level + 1], True))
            self.down_blocks.append(nn.Sequential(*stage))
        self.group = widths[-1] // latent
        self.conv_out = nn.Conv2d(widths[-1], latent, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for stage in self.down_blocks:
            x = stage(x)
        made: Tensor = self.conv_out(x)
        return made + x.unflatten(1, (-1, self.group)).mean(dim=2)


class _Decoder(nn.Module):
    def __init__(self, channels: int, latent: int, widths: Any, layers: Any) -> None:
        super().__init__()
        self.repeats = widths[-1] // latent
        self.conv_in = nn.Conv2d(latent, widths[-1], 3, padding=1)
        self.up_blocks = nn.ModuleList()
        for level, (width, count) in enumerate(zip(widths, layers, strict=True)):
            stage: list[nn.Module] = [_ResidualBlock(width) for _ in range(count)]
            if count and level + 1 < len(widths):
                stage.insert(0, _Double(widths[level + 1], width, True))
            self.up_blocks.append(nn.Sequential(*stage))
        last = widths[0] if layers[0] else widths[1]
        self.norm_out = _Norm(last)
        self.conv_out = (
            nn.Conv2d(last, channels, 3, padding=1) if layers[0] else _Double(last, channels, False)
        )

    def forward(self, z: Tensor) -> Tensor:
        x = self.conv_in(z) + z.repeat_interleave(self.repeats, dim=1)
        for stage in reversed(self.up_blocks):
            x = stage(x)
        made: Tensor = self.conv_out(F.relu(self.norm_out(x)))
        return made
