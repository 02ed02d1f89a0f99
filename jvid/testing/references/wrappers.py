"""References of wrappers, ``(denoiser, x, t, cond) -> x_0``; t is one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import PerFrame
from jvid.core.protocols import Denoiser, NoiseSchedule

__all__ = ["bridged", "cached", "corrected", "first_frame", "framewise", "guided", "known", "windowed"]

Cond = Mapping[str, Any]


def _without_null(cond: Cond) -> dict[str, Any]:
    return {name: value for name, value in cond.items() if name != "null"}


def _frames(cond: Cond, part: slice) -> dict[str, Any]:
    """The condition of some frames."""
    return {
        name: PerFrame(value.tensor[:, part]) if isinstance(value, PerFrame) else value
        for name, value in cond.items()
    }


def guided(
    denoiser: Denoiser,
    x: Tensor,
    t: Tensor,
    cond: Cond,
    *,
    scale: float = 2.0,
    low: float = 0.0,
    high: float = 1.0,
    rescale: float = 0.0,
    against: Denoiser | None = None,
) -> Tensor:
    """Equation (4) in eps; its interval (arXiv 2404.07724) and rescaling (arXiv 2305.08891, equations 15 and 16)."""
    plain = _without_null(cond)
    conditional = denoiser(x, t, plain)
    if not low <= float(t) <= high:
        return conditional
    if against is not None:
        other = against(x, t, plain)
    else:
        other = denoiser(x, t, {**plain, **cond["null"]} if scale != 1.0 else plain)
    alpha, sigma = (float(level) for level in denoiser.schedule(t))
    eps_null, eps_cond = ((x - alpha * x_0) / sigma for x_0 in (other, conditional))
    eps = eps_null + scale * (eps_cond - eps_null)
    x_0 = (x - sigma * eps) / alpha
    if scale in (0.0, 1.0) and against is None:
        return x_0
    for row, wanted in zip(x_0, conditional, strict=True):
        had, target = row.flatten().std(correction=0), wanted.flatten().std(correction=0)
        row.copy_(rescale * (row * (target / had if had > 0 else 1.0)) + (1.0 - rescale) * row)
    return x_0


def framewise(denoiser: Denoiser, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
    """Section 3.4 of the paper: frame by frame, each with its own row of what is given per frame."""
    frames = [slice(f, f + 1) for f in range(x.shape[2])]
    return torch.cat([denoiser(x[:, :, part].clone(), t, _frames(cond, part)) for part in frames], 2)


def bridged(
    denoiser: Denoiser, x: Tensor, t: Tensor, cond: Cond, *, schedule: NoiseSchedule
) -> Tensor | None:
    """Equations (6) and (7): the inner level of the same sigma / alpha, x in its scale."""
    alpha, sigma = (float(level) for level in schedule(t))
    own = denoiser.schedule.time_at(torch.tensor(math.atan2(sigma, alpha), dtype=torch.float64))
    a, s = (float(level) for level in denoiser.schedule(own))
    if abs(math.atan2(s, a) - math.atan2(sigma, alpha)) > 1e-9:
        return None  # noisier than the inner schedule ever is
    return denoiser(x * (a / alpha) if alpha > sigma else x * (s / sigma), own, cond)


def windowed(
    denoiser: Denoiser, x: Tensor, t: Tensor, cond: Cond, *, size: int = 16, stride: int | None = None
) -> Tensor:
    """Windows every ``stride`` frames and one at the end; weights 1, 2, ... from both edges, at most the overlap."""
    f, every = x.shape[2], stride or max(1, 3 * size // 4)
    if f <= size:
        return denoiser(x, t, cond)
    top = max(size - every, 1)
    sums, weights = torch.zeros_like(x), [0.0] * f
    for first in sorted({*range(0, f - size, every), f - size}):
        part = slice(first, first + size)
        x_0 = denoiser(x[:, :, part].clone(), t, _frames(cond, part))
        for k in range(size):
            weight = min(k + 1, size - k, top)
            sums[:, :, first + k] += weight * x_0[:, :, k]
            weights[first + k] += weight
    return sums / torch.tensor(weights, dtype=x.dtype).view(1, 1, f, 1, 1)


def known(denoiser: Denoiser, x: Tensor, t: Tensor, cond: Cond, *, mask: Tensor, latents: Tensor) -> Tensor:
    """m known + (1 - m) x_0."""
    return mask.double() * latents.double() + (1.0 - mask.double()) * denoiser(x, t, cond)


def corrected(
    denoiser: Denoiser,
    x: Tensor,
    t: Tensor,
    cond: Cond,
    *,
    postprocessor: Callable[[Tensor], Tensor],
    interval: tuple[float, float] | None = None,
) -> Tensor:
    """The postprocessor of the prediction, within the interval."""
    x_0 = denoiser(x, t, cond)
    low, high = interval or (0.0, 1.0)
    return postprocessor(x_0) if low <= float(t) <= high else x_0


def first_frame(denoiser: Denoiser, x: Tensor, t: Tensor, cond: Cond, *, others: Denoiser) -> Tensor:
    """The first latent frame by one denoiser, those behind it by the others, which see the whole clip."""
    out = others(x, t, cond).clone()
    out[:, :, :1] = denoiser(x[:, :, :1].clone(), t, _frames(cond, slice(0, 1)))
    return out


def cached(denoiser: Denoiser, x: Tensor, t: Tensor, cond: Cond, *, size: int = 4) -> Tensor:
    """The denoiser itself."""
    return denoiser(x, t, cond)
