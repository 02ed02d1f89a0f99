"""Checks of grids: ``grid(schedule) -> times`` of that schedule, from noise to clean.

Options: ``schedules``, those that it is evaluated on (one that refuses with an ``InputError`` is left out); ``rising=True`` for a
grid that steps back up on purpose, and so may have more steps than requested.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from jvid.core.planning import levels_of
from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid.testing.checking import check, declare
from jvid.testing.checks import grid_reference, grid_steps  # noqa: F401 - they register
from jvid.testing.checks.options import vary
from jvid.testing.strategies import SCHEDULES
from jvid.testing.trial import Refused, Trial

declare("grid", schedules=None, rising=False)


def _times(subject: Any, trial: Trial) -> list[tuple[NoiseSchedule, Sequence[Any]]]:
    """Schedules with the times there."""
    out = []
    refused = ""
    for schedule in trial.option("schedules") or SCHEDULES:
        try:
            out.append((schedule, subject(schedule)))
        except InputError as error:
            refused = str(error)
    if not out:
        raise Refused(f"it refuses every schedule: {refused}")
    return out


def _clean(subject: Any) -> bool:
    return bool(getattr(subject, "clean", True))


@check("grid")
def times_of_a_schedule(subject: Any, trial: Trial) -> None:
    """At least two times, finite numbers in [0, 1]."""
    for schedule, times in _times(subject, trial):
        assert len(times) >= 2, f"{len(times)} times on {schedule}: expected at least two"
        for i, t in enumerate(times):
            plain = isinstance(t, (int, float)) and not isinstance(t, bool)
            assert plain, f"times[{i}] is a {type(t).__name__} on {schedule}: expected a number"
            assert 0.0 <= t <= 1.0, f"times[{i}] = {t} on {schedule}: expected 0 to 1"


@check("grid")
def the_last_is_clean(subject: Any, trial: Trial) -> None:
    """The last time is 0, the clean end, unless the grid declares ``clean`` false, and the first is not."""
    for schedule, times in _times(subject, trial):
        assert times[-1] == 0.0 or not _clean(subject), f"it ends at t {times[-1]} on {schedule}"
        assert times[0] > 0.0, f"it begins at t {times[0]} on {schedule}"


@check("grid")
def every_step_goes_somewhere(subject: Any, trial: Trial) -> None:
    """Neighbouring times differ, and noise falls from each to the next unless the grid is one that rises."""
    for schedule, times in _times(subject, trial):
        for i, (now, then) in enumerate(pairwise(times)):
            assert now != then, f"times[{i}] and the next are both {now} on {schedule}"
            falls = now > then or trial.option("rising")
            assert falls, f"times[{i}] = {now} rises to {then} on {schedule}"


@check("grid")
def as_many_steps_as_requested(subject: Any, trial: Trial) -> None:
    """A grid with ``steps`` has as many steps, on any schedule."""
    steps = getattr(subject, "steps", None)
    if steps is None:
        trial.skip("it has no number of steps")
    if trial.option("rising"):
        trial.skip("it steps back up, which takes steps of its own")
    if not _clean(subject):
        trial.skip("it leaves out a step to a level that is reached already")
    for schedule, times in _times(subject, trial):
        assert len(times) == steps + 1, f"{len(times) - 1} steps on {schedule}, expected {steps}"


@check("grid")
def the_same_each_time(subject: Any, trial: Trial) -> None:
    """It gives equal times again, in any order, by a pickled copy as well; writing on them changes nothing."""
    first = [(schedule, tuple(times)) for schedule, times in _times(subject, trial)]
    copy = pickle.loads(pickle.dumps(subject))
    for schedule, times in reversed(first):
        again = subject(schedule)
        assert tuple(again) == times, f"other times on {schedule} the second time"
        if isinstance(again, list):
            again.clear()
        assert tuple(subject(schedule)) == times, f"other times on {schedule} after the last were changed"
        assert tuple(copy(schedule)) == times, f"a pickled copy gives other times on {schedule}"


@check("grid")
def levels_are_levels(subject: Any, trial: Trial) -> None:
    """A sampler can use it: finite levels, the first the noisiest, the last clean if declared; with ``rising=True`` one rises."""
    for schedule, times in _times(subject, trial):
        rises = any(now < then for now, then in pairwise(times))
        assert rises or not trial.option("rising"), f"it never steps back up on {schedule}, as is declared"
        levels = levels_of(subject, schedule)
        assert all(math.isfinite(level.angle) for level in levels), f"an angle is not finite on {schedule}"
        top = max(level.angle for level in levels)
        assert levels[0].angle >= top - 1e-12, f"the first level on {schedule} is not the noisiest"
        assert levels[-1].sigma == 0.0 or not _clean(subject), (
            f"the last level on {schedule} has sigma {levels[-1].sigma}"
        )


vary("grid")
