"""The check of a schedule's digits: levels that are computed in float32 are a staircase in float64."""

from __future__ import annotations

from typing import Any

import torch

from jvid.testing.checking import check
from jvid.testing.trial import Trial

F64 = torch.float64
SPAN, POINTS = 1.1e-7, 33
"""A stretch of time of the length of two numbers of float32, and the points on it."""
PLACES = (0.2718281, 0.5431774, 0.7390851, 0.9159655)
"""Between the entries of any table in use."""
STEEP = 8.0


@check("schedule")
def levels_in_double(subject: Any, trial: Trial) -> None:
    """Over 1e-7 of time the angle moves evenly in float64, or not at all: neither t nor the levels pass through fewer digits."""
    for place in PLACES:
        t = place + SPAN * torch.linspace(-0.5, 0.5, POINTS, dtype=F64)
        alpha, sigma = (level.cpu() for level in subject(t.to(trial.device)))
        moves = torch.atan2(sigma, alpha).diff().abs()
        largest, mean = float(moves.max()), float(moves.mean())
        # Where a table is flat the angle stays; below 1e-13 is float64's own rounding.
        assert largest <= max(STEEP * mean, 1e-13), (
            f"at t {place:g} the angle moves by {largest:.2g} in a part of {SPAN / (POINTS - 1):.1g}, on average by {mean:.2g}: "
            "it is computed in fewer digits than float64 has"
        )
