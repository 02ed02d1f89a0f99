"""Smoothing latents over time, clip by clip.

Temporal latent smoothing (section 3.6 of the paper), per clip:
    mu[c,h,w] = mean_f x,   sd[c] = deviation of mu[c] over (h, w),
    v[f,h,w] = sum_c |x - mu| / sd[c],   x becomes mu where v < threshold.
Gaussian and uniform smoothing, which the paper compares with, average neighbouring frames.
All work on differences from the first frame, so that a still clip comes out bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from jvid.core.levels import require_latents, working_dtype
from jvid.errors import InputError

__all__ = ["GaussianSmoothing", "TemporalSmoothing", "UniformSmoothing"]


@attrs.frozen
class TemporalSmoothing:
    """Where a clip hardly moves, its latents become their mean over time; the paper's threshold is 2.

    The deviation is the population's. Where a channel's mean is flat (sd = 0) any motion counts as
    large and is kept. One frame is unchanged.
    """

    threshold: float = attrs.field(default=2.0, converter=float)

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.threshold < math.inf:
            raise InputError(
                f"TemporalSmoothing got threshold={self.threshold:g}; expected a number >= 0: 0 keeps all, the paper uses 2"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """x ``(b c f h w)`` -> the same shape, dtype and device."""
        require_latents(x, "TemporalSmoothing")
        s = x.to(working_dtype(x))
        first = s[:, :, :1]
        mu = first + (s - first).mean(dim=2, keepdim=True)
        sd = mu.std(dim=(-2, -1), keepdim=True, correction=0)
        moved = (s - mu).abs()
        # 0 / 0 is no motion, not NaN.
        v = torch.where(moved > 0, moved / sd, torch.zeros_like(moved)).sum(dim=1, keepdim=True)
        return torch.where(v < self.threshold, mu.to(x.dtype), x)


def _filtered(x: Tensor, weights: Sequence[float]) -> Tensor:
    """Filter over f with odd, centred weights that sum to 1; the end frames repeat beyond the ends."""
    f, radius = x.shape[2], len(weights) // 2
    matrix = torch.zeros(f, f, dtype=torch.float64)
    for i in range(f):
        for k, weight in enumerate(weights):
            matrix[i, min(max(i + k - radius, 0), f - 1)] += weight
    s = x.to(working_dtype(x))
    first = s[:, :, :1]
    smooth = torch.einsum("gf,bcfhw->bcghw", matrix.to(s), s - first)
    return (first + smooth).to(x.dtype)


@attrs.frozen
class GaussianSmoothing:
    """A Gaussian filter over time of deviation ``std``, in frames, cut at four deviations; 0 changes nothing."""

    std: float = attrs.field(default=1.0, converter=float)

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.std < math.inf:
            raise InputError(
                f"GaussianSmoothing got std={self.std:g}; expected a number of frames >= 0, such as 1"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """x ``(b c f h w)`` -> the same shape, dtype and device."""
        require_latents(x, "GaussianSmoothing")
        if self.std == 0.0:
            return x.clone()
        radius = math.ceil(4.0 * self.std)
        weights = [math.exp(-0.5 * (k / self.std) ** 2) for k in range(-radius, radius + 1)]
        total = math.fsum(weights)
        return _filtered(x, [weight / total for weight in weights])


def _is_odd(value: object) -> bool:
    return type(value) is int and value > 0 and value % 2 == 1


@attrs.frozen
class UniformSmoothing:
    """The mean of ``size`` neighbouring frames, an odd number; 1 changes nothing."""

    size: int = 3

    def __attrs_post_init__(self) -> None:
        if not _is_odd(self.size):
            raise InputError(
                f"UniformSmoothing got size={self.size!r}; expected an odd number of frames, such as 3"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """x ``(b c f h w)`` -> the same shape, dtype and device."""
        require_latents(x, "UniformSmoothing")
        return _filtered(x, [1.0 / self.size] * self.size)
