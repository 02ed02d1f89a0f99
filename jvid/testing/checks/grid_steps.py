"""Checks of a grid with other numbers of steps, and on other scales."""

from __future__ import annotations

import dataclasses
from typing import Any

import attrs

from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule
from jvid.testing.checking import CHECKS, check
from jvid.testing.solving import Twin
from jvid.testing.trial import Refused, Skip, Trial, failure_text

STEPS = (1, 2, 3, 7, 13, 30, 47, 50, 64, 333)
"""Numbers of steps, few and many; most do not divide the 1000 entries of a table."""

PROMISES = (
    "times_of_a_schedule",
    "the_last_is_clean",
    "every_step_goes_somewhere",
    "as_many_steps_as_requested",
)


@check("grid")
def any_number_of_steps(subject: Any, trial: Trial) -> None:
    """What is promised of its times holds with 1, 2, 3, 7, 13, ... 333 steps; it may refuse some with an ``InputError``."""
    if getattr(subject, "steps", None) is None:
        trial.skip("it has no number of steps")
    if attrs.has(type(subject)):
        change: Any = attrs.evolve
    elif dataclasses.is_dataclass(subject):
        change = dataclasses.replace
    else:
        trial.skip("it is no class of values: it is not known how to make one of other steps")
    built = 0

    def of(steps: int) -> None:
        nonlocal built
        try:
            other = change(subject, steps=steps)
        except (InputError, ValueError, TypeError):
            return
        for name in PROMISES:
            try:
                CHECKS["grid"][name].run(other, trial.fewer(2, at=None))
            except Skip:
                continue
            except Refused:
                return
            except Exception as error:
                raise AssertionError(f"with {steps} steps, {name}: {failure_text(error)}") from error
        built += 1

    trial.each([{"steps": steps} for steps in STEPS], of)
    if not built and trial.at is None:
        trial.skip("it refuses all other numbers of steps")


@check("grid")
def levels_of_any_scale(subject: Any, trial: Trial) -> None:
    """On a schedule of the same angles and another scale (VP, VE) it visits the same times: a level is its angle."""
    if trial.option("schedules"):
        trial.skip("it takes the schedules declared alone")
    table = TabulatedSchedule.scaled_linear()
    one, two = Twin(table), Twin(table, True)
    try:
        expected, got = (tuple(map(float, subject(each))) for each in (one, two))
    except InputError as error:
        trial.skip(f"it refuses a schedule: {error}")
    assert len(got) == len(expected), (
        f"{len(expected)} times variance preserving, {len(got)} variance exploding"
    )
    for i, (t, s) in enumerate(zip(expected, got, strict=True)):
        assert abs(t - s) <= 1e-9, (
            f"times[{i}] is {t:.9g} variance preserving, {s:.9g} variance exploding: sigma is compared, not sigma / alpha"
        )
