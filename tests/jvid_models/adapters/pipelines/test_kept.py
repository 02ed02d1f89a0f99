"""What one evaluation of a run leaves to the next."""

from __future__ import annotations

from typing import Any

from jvid_models.adapters.pipelines.kept import KeptOfRun


def test_a_run_that_begins_is_encoded_anew() -> None:
    """Also after a run that was left at its first step, or had one alone: encoders may have been edited since."""
    made: list[int] = []

    def answers() -> Any:
        made.append(len(made))
        return made[-1]

    kept = KeptOfRun(answers)
    assert [kept.at(time).answers for time in (1.0, 0.5, 0.1)] == [0, 0, 0]
    assert [kept.at(time).answers for time in (1.0, 1.0)] == [1, 2]
    caches = kept.caches
    assert kept.at(0.5).caches is caches
    assert kept.at(0.5).caches is not caches
