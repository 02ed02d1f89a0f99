"""The check of a schedule by its reference ``(t) -> (alpha, sigma)``."""

from __future__ import annotations

import math
from typing import Any

import torch

from jvid.testing.checking import check
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.strategies import times
from jvid.testing.trial import Trial

F64 = torch.float64


@check("schedule")
def as_referenced(subject: Any, trial: Trial) -> None:
    """alpha and sigma are the reference's at any t, and ``time_at`` finds its levels again; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)

    @trial.given(t=times(), options=trial.versions())
    def _(t: float, options: dict[str, Any]) -> None:
        t = round(t, 6)  # an equation may square it
        schedule, equation = trial.version(subject, options), trial.equation(options)
        expected = stated(equation, t)
        for dtype, tolerance in ((F64, 1e-8), (torch.float32, 1e-4)):
            given = torch.tensor(t, dtype=dtype, device=trial.device)
            levels = stated(equation, float(given))
            alpha, sigma = schedule(given)
            if levels is None:
                continue
            for name, got, wanted in zip(("alpha", "sigma"), (alpha, sigma), levels, strict=True):
                compared.agree(float(got), float(wanted), f"{name} at t {t:g} in {dtype}", tolerance)
        if expected is None:
            return
        angle = math.atan2(float(expected[1]), float(expected[0]))
        found = schedule.time_at(torch.tensor(angle, dtype=F64, device=trial.device))
        again = stated(equation, float(found))
        if again is not None:
            got = math.atan2(float(again[1]), float(again[0]))
            compared.agree(got, angle, f"the angle at the time found for t {t:g}", 1e-7)

    compared.finish()
