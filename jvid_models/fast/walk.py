"""The whole forward of a UNet over images or clips, with its own weights.

    conv_in [transformer_in] -> down blocks -> mid block -> up blocks -> conv_out

A 3D block is a 2D block with a temporal convolution behind each residual block and a temporal transformer behind
each spatial one. x is ``(k clips frames, c, h, w)``, see ``Rows``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from jvid_models.fast.blocks import downsample, residual, spatial, temporal, temporal_convolution, upsample
from jvid_models.fast.kept import Kept
from jvid_models.fast.rows import Rows

__all__ = ["walk"]


class _Walk:
    """One forward: what its parts share. ``saving``: layers are computed again in the backward pass."""

    def __init__(self, rows: Rows, kept: Kept, saving: bool) -> None:
        self.rows, self.kept = rows, kept
        self._saving = saving and torch.is_grad_enabled()

    def run(self, function: Callable[..., Tensor], module: Any, x: Tensor, *args: Any) -> Tensor:
        if not self._saving:
            return function(module, x, *args)
        out: Tensor = checkpoint(function, module, x, *args, use_reentrant=False)
        return out

    def unit(self, block: Any, i: int, x: Tensor) -> Tensor:
        """The i-th residual block, and the temporal convolution behind it."""
        x = self.run(residual, block.resnets[i], x, self.rows, self.kept)
        if hasattr(block, "temp_convs"):
            x = self.run(temporal_convolution, block.temp_convs[i], x, self.rows, self.kept)
        return x

    def attention(self, block: Any, i: int, x: Tensor) -> Tensor:
        """The i-th spatial transformer, and the temporal one behind it."""
        x = self.run(spatial, block.attentions[i], x, self.rows, self.kept)
        if hasattr(block, "temp_attentions"):
            x = self.run(temporal, block.temp_attentions[i], x, self.rows, self.kept)
        return x

    def down(self, block: Any, x: Tensor) -> Iterable[Tensor]:
        """What the block hands on, its last the next block's input."""
        for i in range(len(block.resnets)):
            x = self.unit(block, i, x)
            if getattr(block, "has_cross_attention", False):
                x = self.attention(block, i, x)
            yield x
        for layer in block.downsamplers or ():
            x = downsample(layer, x, self.kept)
            yield x

    def mid(self, block: Any, x: Tensor) -> Tensor:
        x = self.unit(block, 0, x)
        for i in range(len(block.attentions)):
            x = self.attention(block, i, x)
            x = self.unit(block, i + 1, x)
        return x

    def up(self, block: Any, x: Tensor, skips: list[Tensor], size: tuple[int, int] | None) -> Tensor:
        for i in range(len(block.resnets)):
            x = self.unit(block, i, self.rows.join(x, skips.pop()))
            if getattr(block, "has_cross_attention", False):
                x = self.attention(block, i, x)
        for layer in block.upsamplers or ():
            x = upsample(layer, x, size, self.kept)
        return x


def walk(unet: Any, x: Tensor, rows: Rows, kept: Kept, saving: bool = False) -> Tensor:
    """x ``(clips frames, c, h, w)`` (one half, or all of them) -> the prediction of all halves."""
    steps = _Walk(rows, kept, saving)
    uneven = any(side % 2**unet.num_upsamplers for side in x.shape[-2:])
    x = unet.conv_in(x)
    if hasattr(unet, "transformer_in"):
        x = steps.run(temporal, unet.transformer_in, x, rows, kept)
    skips = [x]
    for block in unet.down_blocks:
        skips += steps.down(block, x)
        x = skips[-1]
    if unet.mid_block is not None:
        x = steps.mid(unet.mid_block, x)
    for i, block in enumerate(unet.up_blocks):
        size = None
        if uneven and i + 1 < len(unet.up_blocks):
            h, w = skips[-len(block.resnets) - 1].shape[-2:]
            size = (h, w)
        x = steps.up(block, x, skips, size)
    if unet.conv_norm_out is not None:
        x = unet.conv_act(unet.conv_norm_out(x))
    out: Tensor = unet.conv_out(x)
    return rows.whole(out)
