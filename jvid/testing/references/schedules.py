"""References of schedules, ``(t) -> (alpha, sigma)``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["cosine", "flow_matching", "linear", "scaled_linear", "variance_exploding", "zero_terminal_snr"]

Levels = tuple[float, float]
Table = NDArray[np.floating[Any]]


def _at(table: Table, t: float) -> Levels:
    """Index n of a table of alpha_bar is at t = (n + 1) / T, 1 at t = 0; between entries the angle is linear."""
    angles = np.arccos(np.sqrt(np.concatenate([[1.0], table])))
    angle = float(np.interp(t * len(table), np.arange(len(angles)), angles))
    return math.cos(angle), math.sin(angle)


def _linear(start: float = 1e-4, end: float = 0.02, T: int = 1000) -> Table:
    return np.cumprod(1.0 - np.linspace(start, end, T))


def _scaled_linear(start: float = 0.00085, end: float = 0.012, T: int = 1000) -> Table:
    return np.cumprod(1.0 - np.linspace(math.sqrt(start), math.sqrt(end), T) ** 2)


def _cosine(T: int = 1000) -> Table:
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1.0 - np.minimum(1.0 - f[1:] / f[:-1], 0.999))


_TABLES: dict[str, Callable[..., Table]] = {
    "linear": _linear,
    "scaled-linear": _scaled_linear,
    "cosine": _cosine,
}


def linear(t: float, **options: Any) -> Levels:
    """Ho et al. 2020, arXiv 2006.11239, section 4: beta from 1e-4 to 0.02."""
    return _at(_linear(**options), t)


def scaled_linear(t: float, **options: Any) -> Levels:
    """Stable Diffusion's: the roots of beta from sqrt(0.00085) to sqrt(0.012)."""
    return _at(_scaled_linear(**options), t)


def cosine(t: float, **options: Any) -> Levels:
    """Nichol and Dhariwal 2021, arXiv 2102.09672, equation 17, beta at most 0.999."""
    return _at(_cosine(**options), t)


def zero_terminal_snr(t: float, *, of: str = "scaled-linear", **options: Any) -> Levels:
    """Lin et al. 2023, arXiv 2305.08891, algorithm 1."""
    root = np.sqrt(_TABLES[of](**options))
    first, last = root[0], root[-1]
    return _at(((root - last) * first / (first - last)) ** 2, t)


def variance_exploding(
    t: float, *, sigma_min: float = 0.002, sigma_max: float = 80.0, t_min: float = 1e-3
) -> Levels:
    """Song et al. 2021, arXiv 2011.13456, equation 30, from t_min on; linear from 0 below it."""
    if t < t_min:
        return 1.0, sigma_min * t / t_min
    return 1.0, sigma_min * (sigma_max / sigma_min) ** ((t - t_min) / (1.0 - t_min))


def flow_matching(t: float, *, shift: float = 1.0) -> Levels:
    """Esser et al. 2024, arXiv 2403.03206, equation 23 with sqrt(m / n) = shift."""
    shifted = shift * t / (1.0 + (shift - 1.0) * t)
    return 1.0 - shifted, shifted
