"""The blocks of a fast forward, each with the weights of diffusers' module of the same name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from jvid_models.fast.kept import Kept
from jvid_models.fast.layers import activate, attend, convolve, cross_attend, feed_forward, over_frames
from jvid_models.fast.rows import Rows

__all__ = ["downsample", "residual", "spatial", "temporal", "temporal_convolution", "upsample"]


def residual(block: Any, x: Tensor, rows: Rows, kept: Kept) -> Tensor:
    """``ResnetBlock2D``: x ``(n, c, h, w)`` -> ``(n, c', h, w)``; time is projected once for rows that share it."""
    hidden = convolve(block.conv1, activate(block.nonlinearity, block.norm1(x)), kept)
    if block.time_emb_proj is not None:
        time = rows.time if block.skip_time_act else block.nonlinearity(rows.time)
        time = block.time_emb_proj(time)
        if block.time_embedding_norm == "scale_shift":
            scale, shift = time.chunk(2, dim=-1)
            hidden = rows.timed(rows.scaled(block.norm2(hidden), scale), shift)
        else:
            hidden = block.norm2(rows.timed(hidden, time))
    else:
        hidden = block.norm2(hidden)
    hidden = convolve(block.conv2, block.dropout(activate(block.nonlinearity, hidden)), kept)
    if block.conv_shortcut is not None:
        x = block.conv_shortcut(x)
    out = x + hidden
    return out if block.output_scale_factor == 1 else out / block.output_scale_factor


def temporal_convolution(layer: Any, x: Tensor, rows: Rows, kept: Kept) -> Tensor:
    """``TemporalConvLayer``: x ``(n f, c, h, w)`` plus four convolutions over f."""
    clips = x.unflatten(0, (-1, rows.frames)).transpose(1, 2)
    hidden = clips
    for stage in (layer.conv1, layer.conv2, layer.conv3, layer.conv4):
        norm, act, *dropout, conv = stage
        hidden = activate(act, norm(hidden))
        for module in dropout:
            hidden = module(hidden)
        hidden = over_frames(conv, hidden, kept)
    return (clips + hidden).transpose(1, 2).flatten(0, 1)


def _block(block: Any, x: Tensor, rows: Rows, kept: Kept, text: bool) -> Tensor:
    """``BasicTransformerBlock`` with layer norms; with ``text`` its second attention looks there."""
    x = x + attend(block.attn1, block.norm1(x))
    if block.attn2 is not None:
        queries = block.norm2(x)
        x = (
            rows.add(x, cross_attend(block.attn2, queries, rows, kept))
            if text
            else x + attend(block.attn2, queries)
        )
    return x + feed_forward(block.ff, block.norm3(x))


def spatial(model: Any, x: Tensor, rows: Rows, kept: Kept) -> Tensor:
    """``Transformer2DModel``: attention within a frame, and to the text; returns all halves."""
    h, w = x.shape[-2:]
    hidden = model.norm(x)
    if not model.use_linear_projection:
        hidden = model.proj_in(hidden)
    hidden = hidden.flatten(2).transpose(1, 2)
    if model.use_linear_projection:
        hidden = model.proj_in(hidden)
    for block in model.transformer_blocks:
        hidden = _block(block, hidden, rows, kept, text=True)
    if model.use_linear_projection:
        hidden = model.proj_out(hidden)
    hidden = hidden.transpose(1, 2).unflatten(2, (h, w))
    if not model.use_linear_projection:
        hidden = model.proj_out(hidden)
    return rows.add(hidden, x)


def temporal(model: Any, x: Tensor, rows: Rows, kept: Kept) -> Tensor:
    """``TransformerTemporalModel``: attention of each place over the frames."""
    h, w = x.shape[-2:]
    clips = x.unflatten(0, (-1, rows.frames))
    hidden = model.norm(clips.transpose(1, 2))
    hidden = hidden.permute(0, 3, 4, 2, 1).flatten(0, 2)  # (n h w, f, c)
    hidden = model.proj_in(hidden)
    for block in model.transformer_blocks:
        hidden = _block(block, hidden, rows, kept, text=False)
    hidden = model.proj_out(hidden).unflatten(0, (-1, h, w)).permute(0, 3, 4, 1, 2)
    return (clips + hidden).flatten(0, 1)


def downsample(layer: Any, x: Tensor, kept: Kept) -> Tensor:
    """``Downsample2D``."""
    if layer.norm is not None or not layer.use_conv or layer.padding == 0:
        out: Tensor = layer(x)
        return out
    return convolve(layer.conv, x, kept)


def upsample(layer: Any, x: Tensor, size: tuple[int, int] | None, kept: Kept) -> Tensor:
    """``Upsample2D``, to ``size`` where the map below was not even."""
    if layer.norm is not None or layer.use_conv_transpose or not layer.interpolate or not layer.use_conv:
        out: Tensor = layer(x, size)
        return out
    if size is None:
        x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
    else:
        x = nn.functional.interpolate(x, size=size, mode="nearest")
    return convolve(layer.conv if layer.name == "conv" else layer.Conv2d_0, x, kept)
