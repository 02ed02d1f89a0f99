"""The check of a selector by its reference: ``(step) -> shares``, or ``(step, u) -> weights``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from jvid.core.protocols import Step
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing.checking import check
from jvid.testing.referenced import stated
from jvid.testing.solving import even_walk
from jvid.testing.trial import Trial
from jvid.testing.versions import positional

ON = (TabulatedSchedule.scaled_linear(), FlowMatching(3.0))
PARTS = 200
"""Numbers u over which a share is averaged."""


@check("selector")
def as_referenced(subject: Any, trial: Trial) -> None:
    """Its weights are the reference's at any step: for each u, or in the mean over u; also for other options."""
    trial.equation()
    each_u = trial.reference is not None and positional(trial.reference) >= 2
    counts = sorted(trial.option("counts"))

    @trial.given(
        options=trial.versions(),
        on=st.integers(0, len(ON) - 1),
        count=st.sampled_from(counts),
        power=st.sampled_from([1.5, 1.0]),
    )
    def _(options: dict[str, Any], on: int, count: int, power: float) -> None:
        selector, equation = trial.version(subject, options), trial.equation(options)
        for step in even_walk(ON[on], count, 24, power):
            if each_u:
                for u in (0.0, 1e-4, 0.13, 0.37, 0.5, 0.71, 0.9, 1.0 - 2.0**-53):
                    _agree(selector(step, u), stated(equation, step, u), step, f"weight with u {u:g}", 1e-9)
            else:
                _share(selector, equation, step)


def _share(selector: Any, equation: Callable[..., Any], step: Step) -> None:
    expected = stated(equation, step)
    if expected is None:
        return
    sure = any(abs(value - 1.0) < 1e-12 for value in expected.values())
    parts = 8 if sure else PARTS
    found: dict[str, float] = {}
    for i in range(parts):
        for name, weight in selector(step, (i + 0.5) / parts).items():
            found[name] = found.get(name, 0.0) + weight / parts
    # A share moves by at most one part for each place where the choice changes.
    _agree(found, expected, step, "share", 1e-9 if sure else 2.0 / parts)


def _agree(
    found: Mapping[str, float], expected: Mapping[str, float] | None, step: Step, what: str, allowed: float
) -> None:
    if expected is None:
        return
    for name in sorted({*found, *expected}):
        one, two = found.get(name, 0.0), expected.get(name, 0.0)
        assert abs(one - two) <= allowed, (
            f"{what} of {name!r} at progress {step.progress:.3g} (step {step.index} of {step.count}) is {one:.4f}, by the "
            f"reference {two:.4f}"
        )
