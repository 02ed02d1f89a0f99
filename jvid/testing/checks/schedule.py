"""Checks of noise schedules: x_t = alpha x_0 + sigma eps, t in [0, 1]."""

from __future__ import annotations

from typing import Any

import torch

from jvid.testing.checking import Trial, check
from jvid.testing.strategies import times

F64 = torch.float64


@check("schedule")
def angle_never_falls(subject: Any, trial: Trial) -> None:
    """The angle atan2(sigma, alpha) never falls as t goes from 0 to 1."""

    @trial.given(one=times(), two=times())
    def _(one: float, two: float) -> None:
        t = torch.tensor(sorted([one, two]), dtype=F64)
        alpha, sigma = subject(t)
        low, high = torch.atan2(sigma, alpha).tolist()
        assert high >= low - 1e-12, f"{low:.9g} at t {t[0]:g}, {high:.9g} at t {t[1]:g}"
