"""What the loss of a network's output weighs at a level.

    none         1
    min-snr      min(snr, gamma) gain^2,   snr = (alpha / sigma)^2,   gain = |d x_0 / d output|
    sigma-sqrt   1 / sigma^2                                          of flow matching
    cosmap       2 / (pi (1 - 2 sigma + 2 sigma^2))                   of flow matching

min-snr weighs the error of x_0 by min(snr, gamma) (Hang et al. 2023, arXiv 2303.09556): for eps min(snr, gamma) / snr, for v
min(snr, gamma) / (snr + 1), for x_0 itself min(snr, gamma). The two others are those of Esser et al. 2024 (arXiv 2403.03206,
section 3.1), under the names of diffusers' `compute_loss_weighting_for_sd3`.
"""

from __future__ import annotations

import math

from jvid.errors import InputError
from jvid.schedules import FlowMatching
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_training.recipe_published import Noise

__all__ = ["check_weighting", "weight_at"]

_LEAST = 1e-4
"""Of sigma, where 1 / sigma^2 grows without bound."""


def check_weighting(noise: Noise, levels: SchedulerLevels) -> None:
    """Refuse a weighting of flow matching on another schedule."""
    if noise.weighting in ("sigma-sqrt", "cosmap") and not isinstance(levels.schedule, FlowMatching):
        raise InputError(
            f"noise.weighting {noise.weighting!r} on {type(levels.schedule).__name__}: it is of flow matching, expected none or "
            "min-snr"
        )


def weight_at(noise: Noise, levels: SchedulerLevels, alpha: float, sigma: float) -> float:
    """The weight of a squared error of the network's output at alpha and sigma."""
    if noise.weighting == "none":
        return 1.0
    if noise.weighting == "sigma-sqrt":
        return max(sigma, _LEAST) ** -2
    if noise.weighting == "cosmap":
        return 2.0 / (math.pi * (1.0 - 2.0 * sigma + 2.0 * sigma * sigma))
    kind = levels.kind
    if sigma == 0.0:
        return noise.gamma * kind.gain(alpha, sigma) ** 2
    if alpha == 0.0:  # snr gain^2 is finite where the gain is not
        return 1.0 if kind.prediction == "eps" and kind.std is None else 0.0
    return min((alpha / sigma) ** 2, noise.gamma) * kind.gain(alpha, sigma) ** 2
