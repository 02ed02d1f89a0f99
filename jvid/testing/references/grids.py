"""References of grids, ``(schedule) -> times``: diffusers' ``set_timesteps`` at t = (n + 1) / T, and formulas of papers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from jvid.core.protocols import NoiseSchedule

__all__ = ["by_angle", "explicit", "karras", "leading", "linspace", "native", "trailing", "zigzag"]


def _ended(timesteps: Iterable[float], T: int, clean: bool) -> list[float]:
    times = [(float(n) + 1.0) / T for n in timesteps]
    end = 0.0 if clean else 1.0 / T
    return times if abs(times[-1] - end) < 1e-12 else [*times, end]


def leading(
    schedule: NoiseSchedule, *, steps: int, offset: int = 0, T: int = 1000, clean: bool = True, skip_lowest: bool = False
) -> list[float]:  # fmt: skip
    """``timestep_spacing="leading"``: arange(steps) (T // steps), from high to low, and an offset."""
    count = steps + skip_lowest
    timesteps = np.arange(count)[::-1] * (T // count) + offset
    return _ended(timesteps[:steps], T, clean)


def trailing(schedule: NoiseSchedule, *, steps: int, T: int = 1000, clean: bool = True) -> list[float]:
    """``timestep_spacing="trailing"``: round(arange(T, 0, -T / steps)) - 1."""
    return _ended(np.round(np.linspace(T, 0, steps, endpoint=False)) - 1, T, clean)


def linspace(
    schedule: NoiseSchedule, *, steps: int, T: int = 1000, clean: bool = True, rounded: bool = True, skip_lowest: bool = False
) -> list[float]:  # fmt: skip
    """``timestep_spacing="linspace"``: linspace(0, T - 1, steps), rounded, from high to low."""
    count = steps + skip_lowest
    timesteps = np.linspace(0, T - 1, count)[::-1] if count > 1 else np.array([T - 1.0])
    return _ended((np.round(timesteps) if rounded else timesteps)[:steps], T, clean)


def _ratio(schedule: NoiseSchedule, t: float) -> float:
    alpha, sigma = schedule(torch.tensor(t, dtype=torch.float64))
    return float(sigma) / float(alpha)


def _times(schedule: NoiseSchedule, angles: Sequence[float]) -> list[float]:
    """t of each angle, by bisection: ``time_at`` is what is checked."""
    wanted = torch.tensor(angles, dtype=torch.float64)
    low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
    for _ in range(60):
        middle = (low + high) / 2.0
        alpha, sigma = schedule(middle)
        below = torch.atan2(sigma, alpha) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return [float(t) for t in high]


def karras(
    schedule: NoiseSchedule,
    *,
    steps: int,
    rho: float = 7.0,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    clean: bool = True,
) -> list[float]:
    """Karras et al. 2022, arXiv 2206.00364, equation 5, of sigma / alpha; by default over the schedule's own range."""
    first = 1.0 / getattr(schedule, "timesteps", 1000.0)
    low = _ratio(schedule, getattr(schedule, "t_min", first)) if sigma_min is None else sigma_min
    high = _ratio(schedule, 1.0) if sigma_max is None else sigma_max
    part = np.arange(steps) / max(steps - 1, 1)
    ratios = (high ** (1 / rho) + part * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    times = _times(schedule, [math.atan(ratio) for ratio in ratios])
    return [*times, 0.0] if clean else times


def by_angle(schedule: NoiseSchedule, *, steps: int) -> list[float]:
    """Equal parts of the angle atan2(sigma, alpha) from the noisiest level to 0."""
    alpha, sigma = schedule(torch.tensor(1.0, dtype=torch.float64))
    top = math.atan2(float(sigma), float(alpha))
    inner = _times(schedule, [top * (steps - i) / steps for i in range(1, steps)])
    return [1.0, *inner, 0.0]


def zigzag(
    schedule: NoiseSchedule,
    *,
    steps: int,
    back: int = 1,
    repeats: int = 1,
    low: float = 0.3,
    high: float = 0.8,
    T: int = 1000,
) -> list[float]:
    """Leading times; each ``back`` steps within [low, high] are walked ``repeats`` times more (arXiv 2306.14878)."""
    times = leading(schedule, steps=steps, T=T)
    inner = [i for i in range(1, len(times)) if low <= times[i] and times[i - 1] <= high]
    blocks = {inner[k + back - 1] for k in range(0, len(inner) - back + 1, back)}
    out = times[:1]
    for i in range(1, len(times)):
        out.append(times[i])
        if i in blocks:
            out += times[i - back : i + 1] * repeats
    return out


def explicit(schedule: NoiseSchedule, *, times: Any, clean: bool = True) -> list[float]:
    """The times themselves."""
    return [float(t) for t in (times.split("+") if isinstance(times, str) else times)]


def native(schedule: NoiseSchedule, *, steps: int, ensemble: Any = None) -> Sequence[float]:
    """Those of the ensemble's own model."""
    return [float(t) for t in ensemble.times(steps)]
