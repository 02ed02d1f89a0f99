"""Checks of where a selector's choice comes from: the level that a step starts at, and experts that some step chooses.

The solver's first prediction of a step is of the latents at its start. What an expert predicts there does not depend on where
the step leads, so that a walk of other steps from the same level has the same experts.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from jvid.core.levels import level_at
from jvid.core.protocols import Step
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.testing.checking import check, declare
from jvid.testing.solving import Twin, even_walk
from jvid.testing.trial import Trial

declare("selector", ahead=False)

SCHEDULES = (TabulatedSchedule.scaled_linear(), FlowMatching(3.0), VarianceExploding())
PARTS = 200
"""Numbers u at each step, the middles of as many parts of [0, 1)."""


def _walks(trial: Trial) -> list[Step]:
    """Steps of the shortest and the longest plan that it takes, even ones and others, on each schedule."""
    counts = sorted({min(trial.option("counts")), max(trial.option("counts"))})
    return [
        step
        for schedule in SCHEDULES
        for count in counts
        for power in (1.0, 2.0)
        for step in even_walk(schedule, count, power=power)
    ]


@check("selector")
def the_start_decides(subject: Any, trial: Trial) -> None:
    """A step's weights depend on the level that it starts at, not on where it leads (``ahead=True`` for one that looks)."""
    if trial.option("ahead"):
        trial.skip("it looks ahead to where a step leads, on purpose")
    for step in _walks(trial):
        schedule: Any = step.schedule
        for t in (0.0, 0.5 * step.start.t, 0.5 * (1.0 + step.start.t)):
            other = attrs.evolve(step, end=level_at(schedule, t))
            for u in (0.05, 0.35, 0.65, 0.95):
                one, two = dict(subject(step, u)), dict(subject(other, u))
                assert one == two, (
                    f"a step from t {step.start.t:.3g} with u {u}: {one} where it leads to t {step.end.t:.3g}, "
                    f"{two} where it leads to t {t:.3g}"
                )


@check("selector")
def levels_of_any_scale(subject: Any, trial: Trial) -> None:
    """On a schedule of the same angles and another scale (VP, VE) a step's weights are the same: a level is its angle."""
    for schedule in (TabulatedSchedule.scaled_linear(), TabulatedSchedule.cosine()):
        for count in sorted({min(trial.option("counts")), max(trial.option("counts"))}):
            walks = [even_walk(twin, count) for twin in (schedule, Twin(schedule), Twin(schedule, True))]
            for plain, *others in zip(*walks, strict=True):
                for u in (0.05, 0.35, 0.65, 0.95):
                    one, *rest = (dict(subject(step, u)) for step in (plain, *others))
                    for name, two in zip(("variance preserving", "variance exploding"), rest, strict=True):
                        assert one == two, (
                            f"a step from the angle {plain.start.angle:.3g} with u {u}: {one}, where the scale is {name} {two}"
                        )


@check("selector")
def every_expert_is_chosen(subject: Any, trial: Trial) -> None:
    """Each expert that ``experts`` declares has weight at some step for some u, unless ``shares`` declares that it has none."""
    declared = getattr(subject, "experts", None)
    if declared is None:
        trial.skip("it does not declare its experts")
    shares = getattr(subject, "shares", None)
    left = set(declared)
    steps = _walks(trial)
    for step in steps:
        for i in range(PARTS):
            left -= {name for name, weight in subject(step, (i + 0.5) / PARTS).items() if weight > 0.0}
            if not left:
                return
    if shares is not None:
        left = {name for name in left if math.fsum(dict(shares(step)).get(name, 0.0) for step in steps) > 0.0}
    assert not left, (
        f"{', '.join(map(repr, sorted(left)))} of {tuple(declared)} is chosen at none of {len(steps)} steps for any of {PARTS} "
        "numbers u: its network would be loaded for nothing"
    )
