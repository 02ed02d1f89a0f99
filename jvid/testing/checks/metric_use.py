"""Checks of what a metric measures: the clips, and how close they come to a reference where its value depends on that.

``closer=False`` is for a metric whose direction is not towards the reference, as of one that rewards clips unlike any of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jvid.core.metrics import Score
from jvid.testing.checking import check, declare
from jvid.testing.drawn import CLIPS, drawn_sizes, networks_of, value_of_metric
from jvid.testing.samples import DrawnClips, drawn_frames
from jvid.testing.trial import Trial

declare("metric", closer=True)

MOST = 6
FAR = (8, 64)
"""How much darker than the reference clips are, of 255: close to it and far from it."""


def _mean(value: Score | np.ndarray | None) -> float | None:
    """One number of a value; None without one."""
    if value is None:
        return None
    return float(value.value) if isinstance(value, Score) else float(np.mean(value))


def _value(subject: Any, array: np.ndarray, reference: np.ndarray) -> float | None:
    networks = networks_of(subject)
    clips, real = DrawnClips(array, networks), DrawnClips(reference, networks, name="reference")
    return _mean(value_of_metric(subject, clips, real))


@check("metric")
def the_clips_count(subject: Any, trial: Trial) -> None:
    """A value that moves with the reference moves with the clips as well: it is theirs, not the reference's alone."""
    moved: list[tuple[bool, bool]] = []

    @trial.fewer(MOST).given(sizes=drawn_sizes(trial))
    def _(sizes: tuple[int, int, int]) -> None:
        frames, side, seed = sizes
        one, real, two = (drawn_frames(CLIPS, frames, side, seed + k) for k in range(3))
        others = (two, np.repeat(one[:, :1], frames, 1), one // 4)
        first = _value(subject, one, real)
        by_clips = [_value(subject, each, real) for each in others]
        by_reference = [_value(subject, one, each) for each in others[:1]]
        if first is not None and None not in (*by_clips, *by_reference):
            moved.append((set(by_clips) != {first}, set(by_reference) != {first}))

    if trial.at is None and not moved:
        trial.skip("it has no value of these clips")
    of_clips, of_reference = (any(each[k] for each in moved) for k in range(2))
    assert of_clips or not of_reference, (
        "other clips have the same value, another reference has another: are they exchanged?"
    )


@check("metric")
def equal_clips_have_a_value(subject: Any, trial: Trial) -> None:
    """Clips that are the reference's own, and still ones, have a finite value: a quotient or a logarithm has its bound."""

    @trial.fewer(MOST).given(sizes=drawn_sizes(trial))
    def _(sizes: tuple[int, int, int]) -> None:
        frames, side, seed = sizes
        reference = drawn_frames(CLIPS, frames, side, seed)
        for each in (reference, np.repeat(reference[:, :1], frames, 1)):
            _value(subject, each, each)  # raises for what is not finite


@check("metric")
def closer_is_better(subject: Any, trial: Trial) -> None:
    """If its value depends on the reference, clips close to that are better than clips far from it, in ``better``'s direction."""
    if subject.better is None:
        trial.skip("it declares no direction")
    if not trial.option("closer"):
        trial.skip("better is not closer to the reference, on purpose")
    sign = 1.0 if subject.better == "higher" else -1.0
    compared: list[bool] = []

    @trial.fewer(MOST).given(sizes=drawn_sizes(trial))
    def _(sizes: tuple[int, int, int]) -> None:
        frames, side, seed = sizes
        reference = np.clip(drawn_frames(CLIPS, frames, side, seed), 70, 200).astype(np.uint8)
        near, far = ((reference - by).astype(np.uint8) for by in FAR)
        one, two = (_value(subject, near, each) for each in (reference, 255 - reference))
        other = _value(subject, far, reference)
        if one is None or two is None or other is None or one == two:
            return  # without a value, or with one that the reference does not enter
        compared.append(True)
        assert sign * (one - other) >= 0.0, (
            f"clips that are {FAR[0]} of 255 darker than the reference have {one:.6g}, those that are {FAR[1]} darker "
            f"{other:.6g}: expected the first to be better, which is {subject.better}"
        )

    if trial.at is None and not compared:
        trial.skip("its value does not depend on the reference")
