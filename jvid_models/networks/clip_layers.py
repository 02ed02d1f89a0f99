"""The layers of a `VideoDecoder` with little beside their result: some rows, or some places over time, at a time.

    doubling, then 3x3     out[2i+p, 2j+q] = sum of x over the 2x2 places about (i, j), one kernel for each (p, q):
                           along a side, (w0, w1 + w2) for the even place and (w0 + w1, w2) for the odd
    normalisation          h * scale + shift, once mean and deviation are known; over a clip: the frames' own, merged

The merged variance is the mean of the frames' variances and the variance of their means (equal counts), in float64. A
convolution needs copies of its input and output in layouts of its own: in bands of rows they are small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Affine", "add_over_time_", "doubled", "finish", "of_clip", "parities", "residual_", "statistics"]

Affine = tuple[Tensor, Tensor]
"""Scale and shift of a normalisation whose statistics are known, each ``(* c 1 1)``."""

ROWS = 64  # maps of fewer are taken whole: calls would cost more than the memory is worth


def parities(weight: Tensor) -> list[Tensor]:
    """A 3x3 kernel ``(o i 3 3)`` after a doubling -> the 2x2 kernels of places (0,0), (0,1), (1,0), (1,1)."""
    folds = ((0, 1, 1), (0, 0, 1))  # which of the two places each of the three meets, even and odd
    kernels = []
    for rows in folds:
        for columns in folds:
            kernel = weight.new_zeros((*weight.shape[:2], 2, 2))
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    kernel[..., row, column] += weight[..., i, j]
            kernels.append(kernel)
    return kernels


def doubled(x: Tensor, kernels: list[Tensor], bias: Tensor | None) -> Tensor:
    """``(n i h w)`` -> ``(n o 2h 2w)``: nearest doubling and the 3x3 convolution that ``kernels`` come from."""
    n, _, height, width = x.shape
    out = x.new_empty((n, kernels[0].shape[0], 2 * height, 2 * width))
    for top, bottom in _bands(height, 2 * height >= ROWS):
        rows = F.pad(_rows(x, top, bottom), (1, 1))
        for place, kernel in enumerate(kernels):
            p, q = divmod(place, 2)
            part = rows[:, :, p : p + bottom - top + 1, q : q + width + 1]
            out[:, :, 2 * top + p : 2 * bottom : 2, q::2] = F.conv2d(part, kernel, bias)
    return out


def residual_(h: Tensor, spatial: nn.Sequential) -> None:
    """h <- h + S(h), for frames ``(n c h w)``."""
    layers: Iterable[Any] = spatial
    norm_1, _, conv_1, norm_2, _, conv_2 = layers
    if h.shape[2] < ROWS:
        inner = conv_1(F.silu(norm_1(h), inplace=True))
        inner = F.silu(norm_2(inner), inplace=True)
        h += conv_2(inner)
        return
    inner = torch.empty_like(h)
    known = _of_frames(h, norm_1)
    for top, bottom in _bands(h.shape[2], h.shape[2] >= ROWS):
        inner[:, :, top:bottom] = _convolved(_rows(h, top, bottom, known), conv_1)
    known = _of_frames(inner, norm_2)
    for top, bottom in _bands(h.shape[2], h.shape[2] >= ROWS):
        h[:, :, top:bottom] += _convolved(_rows(inner, top, bottom, known), conv_2)


def finish(h: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d, out: Tensor) -> None:
    """Frames ``(n c h w)`` to pixels in ``out (3 n h w)``, clamped to [-1, 1]."""
    known = _of_frames(h, norm)
    for top, bottom in _bands(h.shape[2], h.shape[2] >= ROWS):
        pixels = _convolved(_rows(h, top, bottom, known), conv).clamp_(-1.0, 1.0)
        out[:, :, top:bottom] = pixels.transpose(0, 1)


def add_over_time_(frames: list[Tensor], temporal: nn.Sequential, known: Affine, places: int) -> None:
    """h <- h + T(h) for the frames ``(1 c h w)`` of a clip, ``places`` of them at a time."""
    layers: Iterable[Any] = temporal
    _, _, conv_1, _, conv_2 = layers
    flat = [frame.flatten(2)[0] for frame in frames]  # views
    for start in range(0, flat[0].shape[1], places):
        band = slice(start, start + places)
        inner = torch.addcmul(known[1], torch.stack([frame[:, band] for frame in flat], 1), known[0])  # c f p
        for conv in (conv_1, conv_2):
            inner = F.silu(inner, inplace=True)
            inner = F.conv2d(inner[None], conv.weight[..., 0], conv.bias, padding=(1, 0))[0]
        for index, frame in enumerate(flat):
            frame[:, band] += inner[:, index]


def statistics(h: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Mean and variance of each frame's groups: ``(n c h w)`` -> ``(n 2 groups)``, at least float32."""
    wide = h if h.dtype == torch.float64 else h.float()
    n, c, height, width = wide.shape
    # Its frames are thrown away: var_mean, which makes none, takes several times as long.
    _, mean, rate = torch.native_group_norm(wide, None, None, n, c, height * width, norm.num_groups, norm.eps)
    return torch.stack([mean, rate.pow(-2) - norm.eps], 1)


def of_clip(found: Tensor, norm: nn.GroupNorm) -> Affine:
    """From the statistics of all frames of a clip ``(f 2 groups)`` to what ``norm`` does to the clip."""
    mean, variance = found.to("cpu", torch.float64).unbind(1)
    variance = variance.mean(0) + mean.var(0, correction=0)
    return _affine(mean.mean(0), variance, norm)


def _of_frames(h: Tensor, norm: nn.GroupNorm) -> Affine:
    mean, variance = statistics(h, norm).unbind(1)
    return _affine(mean, variance, norm)


def _affine(mean: Tensor, variance: Tensor, norm: nn.GroupNorm) -> Affine:
    """``(* groups)`` statistics -> ``(* c 1 1)``, of the weights' type and device."""
    each = norm.num_channels // norm.num_groups
    rate = (variance + norm.eps).rsqrt().repeat_interleave(each, -1)
    scale = norm.weight.to(rate) * rate
    shift = norm.bias.to(rate) - mean.repeat_interleave(each, -1) * scale
    return scale.to(norm.weight)[..., None, None], shift.to(norm.weight)[..., None, None]


def _bands(height: int, several: bool) -> Iterator[tuple[int, int]]:
    rows = -(-height // 4) if several else height
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _rows(x: Tensor, top: int, bottom: int, known: Affine | None = None) -> Tensor:
    """Rows ``top`` to ``bottom`` and one on either side, zero outside; normalised and through SiLU with ``known``."""
    first, last = max(top - 1, 0), min(bottom + 1, x.shape[2])
    rows = x[:, :, first:last]
    if known is not None:
        rows = F.silu(torch.addcmul(known[1], rows, known[0]), inplace=True)
    missing = (0, 0, first - top + 1, bottom + 1 - last)
    return F.pad(rows, missing) if any(missing) else rows


def _convolved(rows: Tensor, conv: nn.Conv2d) -> Tensor:
    return F.conv2d(rows, conv.weight, conv.bias, padding=(0, 1))
