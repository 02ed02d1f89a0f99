"""Checks of metrics: clips and a reference to a number, or to one for each clip.

Options: ``ordered=True`` for a metric whose value depends on the order of the clips, as one over splits does. Features that a
metric names by choice are loaded from the registry; ``frames`` and ``sides`` are those that its networks take.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from jvid.core.metric_values import value_of
from jvid.core.metrics import DeclaresFloor, FeatureNetwork, Score
from jvid.testing.checking import check, declare
from jvid.testing.checks import metric_reference, metric_use  # noqa: F401 - they register
from jvid.testing.drawn import CLIPS, RESAMPLING, drawn_samples, drawn_sizes, value_of_metric
from jvid.testing.trial import Trial

declare("metric", ordered=False)


def _numbers(value: Score | np.ndarray | None) -> torch.Tensor:
    """The value's numbers, to be compared."""
    if isinstance(value, Score):
        ends = [each for each in (value.low, value.high) if each is not None]
        return torch.tensor([value.value, *ends], dtype=torch.float64)
    return torch.from_numpy(np.array([] if value is None else value, np.float64))


@check("metric")
def it_declares_itself(subject: Any, trial: Trial) -> None:
    """A name and a unit as text, the same each time; better is "lower", "higher" or None; features are networks or choices."""
    for what in ("name", "unit"):
        value = getattr(subject, what)
        assert isinstance(value, str), f"{what} is a {type(value).__name__}: expected text"
        assert getattr(subject, what) == value, f"{what} is another the second time"
    assert subject.name.strip(), "name is empty"
    assert subject.better in ("lower", "higher", None), (
        f"better is {subject.better!r}: expected 'lower', 'higher' or None"
    )
    assert not isinstance(subject.features, str), "features is text: expected a sequence, such as ('i3d',)"
    for each in subject.features:
        assert isinstance(each, str | FeatureNetwork), (
            f"features has a {type(each).__name__}: expected a network or a choice"
        )


@check("metric")
def a_finite_value(subject: Any, trial: Trial) -> None:
    """A finite number, one for each clip, or a score whose interval rises; so is its floor."""
    values = []

    @trial.given(sizes=drawn_sizes(trial))
    def _(sizes: tuple[int, int, int]) -> None:
        clips, reference = drawn_samples(subject, sizes)
        value = value_of_metric(subject, clips, reference)
        values.append(value)
        found = [value]
        if isinstance(subject, DeclaresFloor):
            floor = subject.floor(reference, RESAMPLING)
            found.append(value_of(subject, floor, reference))
        for each in found:
            if isinstance(each, Score) and each.low is not None and each.high is not None:
                assert each.low <= each.high, f"an interval from {each.low} to {each.high}"

    if all(value is None for value in values):
        trial.skip("it has no value of these clips")


@check("metric")
def the_same_each_time(subject: Any, trial: Trial) -> None:
    """Equal arguments have equal values, also after other clips."""

    @trial.given(sizes=drawn_sizes(trial))
    def _(sizes: tuple[int, int, int]) -> None:
        clips, reference = drawn_samples(subject, sizes)
        first = _numbers(value_of_metric(subject, clips, reference))
        value_of_metric(subject, *drawn_samples(subject, (sizes[0], sizes[1], sizes[2] + 5)))
        trial.same(_numbers(value_of_metric(subject, clips, reference)), first, "the value the second time")


@check("metric")
def order_means_nothing(subject: Any, trial: Trial) -> None:
    """The clips in another order have the same value, and numbers of clips follow them; likewise the reference."""
    if trial.option("ordered"):
        trial.skip("its value depends on the order of the clips")

    @trial.given(sizes=drawn_sizes(trial), order=st.permutations(range(CLIPS)))
    def _(sizes: tuple[int, int, int], order: list[int]) -> None:
        clips, reference = drawn_samples(subject, sizes)
        value = value_of_metric(subject, clips, reference)
        turned = value_of_metric(subject, clips.taken(order), reference.taken(range(len(reference))[::-1]))
        expected = value[order] if isinstance(value, np.ndarray) else value
        trial.close(_numbers(turned)[: 1 if isinstance(value, Score) else None],
                    _numbers(expected)[: 1 if isinstance(value, Score) else None], "the value in another order")  # fmt: skip


@check("metric")
def samples_untouched(subject: Any, trial: Trial) -> None:
    """Frames and features are not changed in place."""

    @trial.given(sizes=drawn_sizes(trial))
    def _(sizes: tuple[int, int, int]) -> None:
        samples = drawn_samples(subject, sizes)
        kept = [
            (each.array.copy(), [{k: v.copy() for k, v in rows.items()} for rows in each.features])
            for each in samples
        ]
        value_of_metric(subject, *samples)
        for each, (array, features) in zip(samples, kept, strict=True):
            assert np.array_equal(each.array, array), f"frames of {each.name} are others after the call"
            for rows, before in zip(each.features, features, strict=True):
                assert all(np.array_equal(rows[key], before[key]) for key in before), (
                    f"features of {each.name} are others after the call"
                )
