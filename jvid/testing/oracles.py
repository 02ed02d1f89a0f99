"""Denoisers in closed form, on any schedule: x_t = alpha x_0 + sigma eps.

Gaussian, x_0 ~ N(m, d^2): x_t ~ N(alpha m, v) with v = alpha^2 d^2 + sigma^2,
    E[x_0 | x_t] = m + (alpha d^2 / v) (x_t - alpha m),
and the probability-flow ODE moves x_t from one level to another as alpha' m + sqrt(v' / v) (x_t - alpha m).
Two modes, x_0 ~ (N(m - a, d^2) + N(m + a, d^2)) / 2: each mode's posterior mean, weighted by
    P(+ | x_t) = logistic(2 alpha a (x_t - alpha m) / v).
Elements are independent, so samples, frames and pixels do not influence each other.
"""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from jvid.core.levels import level_floats, levels_for, require_latents, working_dtype
from jvid.core.protocols import Condition, Level, NoiseSchedule
from jvid.errors import InputError

__all__ = ["GaussianOracle", "TwoModeOracle"]


def _check_deviation(who: str, std: float, least: str, good: bool) -> None:
    if not (good and math.isfinite(std)):
        raise InputError(f"{who} got std={std:g}; expected a finite deviation {least}")


@attrs.frozen
class GaussianOracle:
    """The exact denoiser of x_0 ~ N(mean, std^2) at each element; std = 0 knows x_0 outright."""

    schedule: NoiseSchedule
    mean: float = attrs.field(default=0.0, converter=float)
    std: float = attrs.field(default=1.0, converter=float)

    def __attrs_post_init__(self) -> None:
        _check_deviation("GaussianOracle", self.std, ">= 0", self.std >= 0)

    def variance(self, level: Level) -> float:
        """The variance of x_t at ``level``."""
        return (level.alpha * self.std) ** 2 + level.sigma**2

    def flow(self, x: Tensor, start: Level, end: Level) -> Tensor:
        """Where the probability-flow ODE takes x from ``start`` to ``end``, exactly; needs ``variance(start) > 0``."""
        ratio = math.sqrt(self.variance(end) / self.variance(start))
        return end.alpha * self.mean + ratio * (x - start.alpha * self.mean)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> E[x_0 | x_t] of x's shape and dtype; ``cond`` is not read."""
        require_latents(x, "GaussianOracle")
        dtype = working_dtype(x)
        if t.ndim == 0:  # numbers: a call on small latents costs what its operations cost
            alpha, sigma = level_floats(self.schedule, t)
            variance = (alpha * self.std) ** 2 + sigma**2
            gain = alpha * self.std**2 / variance if variance > 0 else 0.0
            return (self.mean + gain * (x.to(dtype) - alpha * self.mean)).to(x.dtype)
        alphas, sigmas = levels_for(self.schedule, t, x)
        variances = (alphas * self.std) ** 2 + sigmas**2
        gains = torch.where(
            variances > 0, alphas * self.std**2 / variances.clamp_min(1e-300), torch.zeros_like(variances)
        )
        gains, alphas = gains.to(x.device, dtype), alphas.to(x.device, dtype)
        return (self.mean + gains * (x.to(dtype) - alphas * self.mean)).to(x.dtype)


@attrs.frozen
class TwoModeOracle:
    """The exact denoiser of x_0 near ``mean - offset`` or ``mean + offset``, each with deviation std, at each element."""

    schedule: NoiseSchedule
    offset: float = attrs.field(default=1.0, converter=float)
    std: float = attrs.field(default=0.25, converter=float)
    mean: float = attrs.field(default=0.0, converter=float)

    def __attrs_post_init__(self) -> None:
        _check_deviation("TwoModeOracle", self.std, "> 0", self.std > 0)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> E[x_0 | x_t] of x's shape and dtype; ``cond`` is not read."""
        require_latents(x, "TwoModeOracle")
        dtype = working_dtype(x)
        alpha: float | Tensor
        sigma: float | Tensor
        if t.ndim == 0:
            alpha, sigma = level_floats(self.schedule, t)
        else:
            alpha, sigma = (level.to(x.device, dtype) for level in levels_for(self.schedule, t, x))
        variance = (alpha * self.std) ** 2 + sigma**2
        centred = x.to(dtype) - alpha * self.mean
        gain = alpha * self.std**2 / variance
        side = torch.tanh(alpha * self.offset * centred / variance)  # P(+) - P(-)
        # The modes' posterior means differ in sign of offset alone.
        x_0 = self.mean + gain * centred + side * (self.offset * (1.0 - gain * alpha))
        return x_0.to(x.dtype)
