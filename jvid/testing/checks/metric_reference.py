"""The check of a metric by its reference ``(clips, reference) -> value``, or one for each clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from jvid.core.metrics import Score
from jvid.testing.checking import check
from jvid.testing.drawn import drawn_samples, drawn_sizes, value_of_metric
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.trial import Trial


@check("metric")
def as_referenced(subject: Any, trial: Trial) -> None:
    """Its value is the reference's: a number, or one for each clip; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)
    found = []

    @trial.given(sizes=drawn_sizes(trial), options=trial.versions())
    def _(sizes: tuple[int, int, int], options: dict[str, Any]) -> None:
        metric, equation = trial.version(subject, options), trial.equation(options)
        clips, reference = drawn_samples(metric, sizes)
        got = value_of_metric(metric, clips, reference)
        # In a tuple, since None is what a reference gives of clips without a value.
        given = stated(lambda: (equation(clips, reference),))
        if given is None:
            return
        (expected,) = given
        assert (got is None) == (expected is None), (
            f"{'no value' if got is None else 'a value'}, by the reference {'none' if expected is None else 'one'}"
        )
        found.append(got is not None)
        if got is None:
            return
        number = got.value if isinstance(got, Score) else got
        if isinstance(number, np.ndarray) and np.ndim(expected) == 0:
            number = float(number.mean())
        compared.agree(number, expected, "its value", max(trial.tolerance / 10, 1e-6))

    if found and not any(found) and trial.at is None:
        trial.skip("it has no value of these clips")
    compared.finish()
