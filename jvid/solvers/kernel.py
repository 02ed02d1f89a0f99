"""One Gaussian transition, of which DDPM, DDIM and the Euler step of flow matching are cases.

    x_s = a_s x_0 + s_s (sqrt(1 - eta^2 tau) eps + sqrt(eta^2 tau) z),   tau = 1 - r^2,   eps = (x_t - a_t x_0) / s_t

r = (a_t s_s) / (a_s s_t) where noise falls. Where it rises the ratio is inverted: with eta = 1 the step is then the forward
process q(x_s | x_t), noise and all, and with eta = 0 the deterministic inversion of DDIM. It is evaluated as
c_x x_t + c_0 x_0 + c_z z with coefficients in double precision, finite at sigma = 0 and at alpha = 0.
"""

from __future__ import annotations

import math

from torch import Tensor

from jvid.core.levels import working_dtype
from jvid.core.protocols import Level, Noise

__all__ = ["coefficients", "draws", "transition"]


def coefficients(start: Level, end: Level, eta: float) -> tuple[float, float, float]:
    """``(c_x, c_0, c_z)`` of ``x_s = c_x x_t + c_0 x_0 + c_z z`` from ``start`` to ``end``, eta in [0, 1].

    From the clean end (sigma = 0) eps is unknown: a rising step then draws all its noise, whatever eta.
    """
    if start.sigma == 0.0:
        # x_t is a_t x_0 itself, so x_0 need not be evaluated.
        return end.alpha / start.alpha, 0.0, end.sigma
    p, q = start.alpha * end.sigma, end.alpha * start.sigma
    if p == q:
        return end.sigma / start.sigma if end.sigma else end.alpha / start.alpha, 0.0, 0.0
    low, high = min(p, q), max(p, q)
    r = low / high
    tau = (high - low) * (high + low) / (high * high)  # 1 - r^2 without its cancellation
    kept = r if eta == 1.0 else math.sqrt((1.0 - eta * eta) + (eta * r) ** 2)
    c_x = end.sigma * kept / start.sigma
    c_z = end.sigma * eta * math.sqrt(tau)
    if p < q:
        c_0 = end.alpha * tau if eta == 1.0 else end.alpha * (1.0 - r * kept)
    else:
        c_0 = 0.0 if eta == 1.0 else end.alpha - c_x * start.alpha
    return c_x, c_0, c_z


def draws(start: Level, end: Level, eta: float) -> bool:
    """Whether ``transition`` from ``start`` to ``end`` adds noise."""
    return coefficients(start, end, eta)[2] != 0.0


def transition(x: Tensor, x_0: Tensor, start: Level, end: Level, eta: float, noise: Noise) -> Tensor:
    """x ``(b c f h w)`` at ``start`` -> x at ``end``, in x's dtype; ``noise("z")`` is drawn only if it counts."""
    c_x, c_0, c_z = coefficients(start, end, eta)
    if (dtype := working_dtype(x)) is not x.dtype:
        return _combined(x.to(dtype), x_0.to(dtype), c_x, c_0, c_z, noise).to(x.dtype)
    return _combined(x, x_0, c_x, c_0, c_z, noise)


def _combined(x: Tensor, x_0: Tensor, c_x: float, c_0: float, c_z: float, noise: Noise) -> Tensor:
    # Separate products and sums: a fused multiply-add may round by position in the batch. Where x counts it comes
    # first: its layout is kept, and that of frames folded into the batch would make each later pass dearer.
    if c_x != 0.0:
        out = x * c_x
        out += x_0 * c_0
    else:
        out = x_0 * c_0
    if c_z != 0.0:
        z = noise("z")
        if z.dtype != x.dtype or z.device != x.device:
            z = z.to(x.device, x.dtype)
        out += z * c_z
    return out
