"""References of denoisers, ``(x, t, cond) -> x_0``: Bayes' rule for x_t = alpha x_0 + sigma eps, where sigma > 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import NoiseSchedule

__all__ = ["gaussian", "two_modes"]


def gaussian(
    x: Tensor, t: Tensor, cond: Any, *, schedule: NoiseSchedule, mean: float = 0.0, std: float = 1.0
) -> Tensor:
    """Prior and measurement, weighted by their precisions."""
    alpha, sigma = (float(level) for level in schedule(t))
    prior, measured = 1.0 / std**2, (alpha / sigma) ** 2
    return (prior * mean + measured * (x / alpha)) / (prior + measured)


def two_modes(
    x: Tensor,
    t: Tensor,
    cond: Any,
    *,
    schedule: NoiseSchedule,
    offset: float = 1.0,
    std: float = 0.25,
    mean: float = 0.0,
) -> Tensor:
    """Each mode's posterior mean, weighted by the probability of x under it."""
    alpha, sigma = (float(level) for level in schedule(t))
    places = (mean - offset, mean + offset)
    means = torch.stack([gaussian(x, t, cond, schedule=schedule, mean=at, std=std) for at in places])
    spread = (alpha * std) ** 2 + sigma**2
    likely = torch.stack([-((x - alpha * at) ** 2) / (2.0 * spread) for at in places]).softmax(0)
    return (likely * means).sum(0)
