"""The check of a feature network by its reference ``(frames) -> rows``, or a mapping of outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jvid.core.metric_values import rows_of
from jvid.testing.checking import check
from jvid.testing.drawn import drawn_clips
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.samples import drawn_frames
from jvid.testing.trial import Trial


@check("features")
def as_referenced(subject: Any, trial: Trial) -> None:
    """Its rows are the reference's, each output that the reference gives; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)

    @trial.given(clips=drawn_clips(trial), options=trial.versions())
    def _(clips: tuple[int, int, int, int], options: dict[str, Any]) -> None:
        network, equation = trial.version(subject, options), trial.equation(options)
        array = drawn_frames(*clips)
        rows, expected = rows_of(network, array.copy()), stated(equation, array)
        outputs = expected if isinstance(expected, Mapping) else {"features": expected}
        for key, wanted in outputs.items():
            assert key in rows, f"no {key!r} among its outputs {sorted(rows)}, which the reference gives"
            compared.agree(rows[key], wanted, key, trial.tolerance)

    compared.finish()
