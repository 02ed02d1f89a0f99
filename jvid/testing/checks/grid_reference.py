"""The check of a grid by its reference ``(schedule) -> times``."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from jvid.errors import InputError
from jvid.testing.checking import check
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.strategies import SCHEDULES
from jvid.testing.trial import Trial


@check("grid")
def as_referenced(subject: Any, trial: Trial) -> None:
    """Its times are the reference's on any schedule; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)
    schedules = list(trial.option("schedules") or SCHEDULES)

    @trial.given(on=st.integers(0, len(schedules) - 1), options=trial.versions())
    def _(on: int, options: dict[str, Any]) -> None:
        grid, schedule = trial.version(subject, options), schedules[on]
        try:
            times = grid(schedule)
        except InputError:
            return
        expected = stated(trial.equation(options), schedule)
        assert expected is None or len(times) == len(expected), (
            f"{len(times)} times on {schedule}, by the reference {len(expected)}"
        )
        compared.agree(
            list(times), None if expected is None else list(expected), f"the times on {schedule}", 1e-6
        )

    compared.finish()
