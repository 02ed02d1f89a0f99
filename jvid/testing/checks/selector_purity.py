"""Checks of what a selector's choice depends on: the same u again, the ends of [0, 1), and another process."""

from __future__ import annotations

from typing import Any

from jvid.core.protocols import Step
from jvid.schedules import TabulatedSchedule
from jvid.testing.checking import check
from jvid.testing.interpreters import NotTransferable, answers
from jvid.testing.solving import even_walk
from jvid.testing.trial import Trial

EDGES = (0.0, 2.0**-53, 1e-9, 1e-6, 4e-5, 4e-4, 0.999, 1.0 - 1e-9, 1.0 - 2.0**-53)


def _steps(trial: Trial, most: int = 5) -> list[Step]:
    return even_walk(TabulatedSchedule.scaled_linear(), max(trial.option("counts")), most)


@check("selector")
def the_same_for_the_same_u(subject: Any, trial: Trial) -> None:
    """The same u three times in a row gives the same weights three times: below 1e-3, at 0, and just below 1 as well."""
    for step in _steps(trial):
        for u in EDGES:
            answers = [dict(subject(step, u)) for _ in range(3)]
            assert answers[0] == answers[1] == answers[2], (
                f"step {step.index} of {step.count} with u {u!r}: {answers[0]}, then {answers[1]} and {answers[2]}"
            )


@check("selector")
def the_same_in_another_process(subject: Any, trial: Trial) -> None:
    """In a process of its own, which hashes text otherwise, the same step and u give the same weights."""
    questions = [(step, u) for step in _steps(trial, 12) for u in (0.1, 0.4, 0.6, 0.9)]
    expected = [dict(subject(step, u)) for step, u in questions]
    # Two seeds of the hash: one may put names in the order of this process.
    for seed in (1, 2):
        try:
            found = answers(seed, subject, questions)
        except NotTransferable as error:
            trial.skip(str(error))
        for (step, u), one, two in zip(questions, expected, found, strict=True):
            assert one == two, (
                f"step {step.index} of {step.count} with u {u}: {one}, in another process {two}"
            )
