"""References of one-step solvers, ``(x, step, denoise, noise) -> x``; multistep ones are in ``multistep``.

DDPM and DDIM are written in the variance-preserving coordinates of their papers, x / hypot(alpha, sigma) with
alpha_bar = alpha^2 / (alpha^2 + sigma^2); Karras et al. and k-diffusion in x / alpha over rho = sigma / alpha.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from jvid.core.protocols import Level, Step

__all__ = ["ddim", "ddpm", "euler", "euler_ancestral", "heun", "vp"]

Denoise = Callable[[Tensor, Level], Tensor]
Noise = Callable[..., Tensor]


def vp(level: Level) -> tuple[float, float, float]:
    """``(scale, alpha_bar, 1 - alpha_bar)`` of a level."""
    scale = math.hypot(level.alpha, level.sigma)
    return scale, (level.alpha / scale) ** 2, (level.sigma / scale) ** 2


def ddpm(x: Tensor, step: Step, denoise: Denoise, noise: Noise) -> Tensor:
    """Ho et al. 2020, arXiv 2006.11239, equations 6 and 7, from t to any earlier s."""
    (k_t, bar_t, rest_t), (k_s, bar_s, rest_s) = vp(step.start), vp(step.end)
    alpha = bar_t / bar_s
    beta = 1.0 - alpha
    x_0 = denoise(x, step.start)
    mean = math.sqrt(bar_s) * beta / rest_t * x_0 + math.sqrt(alpha) * rest_s / rest_t * (x / k_t)
    return k_s * (mean + math.sqrt(rest_s / rest_t * beta) * noise())


def ddim(x: Tensor, step: Step, denoise: Denoise, noise: Noise, *, eta: float = 0.0) -> Tensor:
    """Song et al. 2021, arXiv 2010.02502, equations 12 and 16."""
    (k_t, bar_t, rest_t), (k_s, bar_s, rest_s) = vp(step.start), vp(step.end)
    x_0 = denoise(x, step.start)
    eps = (x / k_t - math.sqrt(bar_t) * x_0) / math.sqrt(rest_t)
    sigma = eta * math.sqrt(rest_s / rest_t) * math.sqrt(1.0 - bar_t / bar_s)
    out = math.sqrt(bar_s) * x_0 + math.sqrt(max(rest_s - sigma**2, 0.0)) * eps
    return k_s * (out + sigma * noise() if sigma else out)


def _rho(level: Level) -> float:
    return level.sigma / level.alpha


def _churned(
    x: Tensor, step: Step, noise: Noise, s_churn: float, s_tmin: float, s_tmax: float, s_noise: float
) -> tuple[Tensor, Level] | None:
    """Lines 4 to 6 of algorithm 2 of Karras et al., in x / alpha; None above the schedule's own noise."""
    rho = _rho(step.start)
    gamma = min(s_churn / step.count, math.sqrt(2.0) - 1.0) if s_tmin <= rho <= s_tmax else 0.0
    if not gamma:
        return x / step.start.alpha, step.start
    higher = rho * (1.0 + gamma)
    assert step.schedule is not None
    t = step.schedule.time_at(torch.tensor(math.atan(higher), dtype=torch.float64))
    level = step.level_at(float(t))
    if abs(_rho(level) - higher) > 1e-6 * higher:
        return None
    moved = x / step.start.alpha + math.sqrt(higher**2 - rho**2) * s_noise * noise()
    return moved, level


def euler(
    x: Tensor,
    step: Step,
    denoise: Denoise,
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor | None:
    """Karras et al. 2022, arXiv 2206.00364, algorithm 2 without its correction."""
    found = _churned(x, step, noise, s_churn, s_tmin, s_tmax, s_noise)
    if found is None:
        return None
    y, level = found
    slope = (y - denoise(level.alpha * y, level)) / _rho(level)
    return step.end.alpha * (y + (_rho(step.end) - _rho(level)) * slope)


def heun(
    x: Tensor,
    step: Step,
    denoise: Denoise,
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor | None:
    """Karras et al. 2022, arXiv 2206.00364, algorithm 2; of steps that are too steep in rho it states nothing."""
    found = _churned(x, step, noise, s_churn, s_tmin, s_tmax, s_noise)
    if found is None:
        return None
    y, level = found
    rho, lower = _rho(level), _rho(step.end)
    if abs(lower - _rho(step.start)) * step.end.alpha > 15.9 * math.hypot(step.end.alpha, step.end.sigma):
        return None
    slope = (y - denoise(level.alpha * y, level)) / rho
    out = y + (lower - rho) * slope
    if lower > 0.0:
        again = (out - denoise(step.end.alpha * out, step.end)) / lower
        out = y + (lower - rho) * (slope + again) / 2.0
    return step.end.alpha * out


def euler_ancestral(
    x: Tensor, step: Step, denoise: Denoise, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    """k-diffusion, ``get_ancestral_step`` and ``sample_euler_ancestral``."""
    rho, lower = _rho(step.start), _rho(step.end)
    up = min(lower, eta * math.sqrt(lower**2 * (rho**2 - lower**2) / rho**2))
    down = math.sqrt(lower**2 - up**2)
    y = x / step.start.alpha
    slope = (y - denoise(x, step.start)) / rho
    out = y + (down - rho) * slope
    if up:
        out = out + up * s_noise * noise()
    return step.end.alpha * out
