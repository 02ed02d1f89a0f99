"""References of noise samplers, ``(i, j) -> covariance`` of two elements ``(clip, channel, frame, row, column)``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["independent", "mixed", "offset", "progressive", "scaled", "shared"]

Place = Sequence[int]


def _same_place(i: Place, j: Place) -> bool:
    """The same element but for the frame."""
    return (i[0], i[1], i[3], i[4]) == (j[0], j[1], j[3], j[4])


def independent(i: Place, j: Place) -> float:
    """N(0, 1), each for itself."""
    return float(i == j)


def shared(i: Place, j: Place, *, ratio: float) -> float:
    """Equations (8) and (9): variance r of a part that frames share, 1 - r of one of their own."""
    return ratio * _same_place(i, j) + (1.0 - ratio) * (i == j)


def mixed(i: Place, j: Place, *, alpha: float) -> float:
    """PYoCo, arXiv 2305.10474, equation 3: variances a^2 / (1 + a^2) and 1 / (1 + a^2)."""
    return (alpha**2 * _same_place(i, j) + (i == j)) / (1.0 + alpha**2)


def progressive(i: Place, j: Place, *, alpha: float) -> float:
    """PYoCo, arXiv 2305.10474, equation 4: an autoregression over frames, of coefficient a / sqrt(1 + a^2)."""
    coefficient = alpha / math.sqrt(1.0 + alpha**2)
    return float(coefficient ** abs(i[2] - j[2])) * _same_place(i, j)


def _of(inner: Any, i: Place, j: Place) -> float:
    """The covariance that an inner sampler declares."""
    return float(inner.std**2 * inner.correlation(i[2], j[2]) * _same_place(i, j))


def scaled(i: Place, j: Place, *, gamma: float, ratio: float = 0.0, inner: Any = None) -> float:
    """Section 3.5: gamma times the noise, gamma^2 times its covariance."""
    return gamma**2 * (shared(i, j, ratio=ratio) if inner is None else _of(inner, i, j))


def offset(i: Place, j: Place, *, strength: float = 0.1, inner: Any = None, frames: str = "shared") -> float:
    """Noise offset: a number for each clip and channel, of variance strength^2, at all pixels and in all or single frames."""
    alike = i[:2] == j[:2] and (frames == "shared" or i[2] == j[2])
    return (independent(i, j) if inner is None else _of(inner, i, j)) + strength**2 * alike
