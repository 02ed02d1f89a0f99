"""Selectors: values of P_V, validation, and the share of choices against the probability."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.protocols import Level, Selector, Step
from jvid.errors import InputError
from jvid.selectors import Always, PiecewiseAffine

UNIT = st.floats(0, 1)


def step_at(progress: float) -> Step:
    return Step(3, 10, Level(1 - progress, 0.6, 0.8), Level(0.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0, 1), (0.4, 1), (0.55, 0.7), (0.7, 0.4), (0.85, 0.25), (1, 0.1)],
)
def test_values_of_the_middle_row_of_table_6(progress: float, expected: float) -> None:
    assert PiecewiseAffine(0.4, 0.7, 0.4, 0.1).probability(progress) == pytest.approx(expected, abs=1e-12)


@st.composite
def selectors(draw: st.DrawFn) -> PiecewiseAffine:
    t_v, t_e = sorted(draw(st.lists(UNIT, min_size=2, max_size=2, unique=True)))
    return PiecewiseAffine(t_v, t_e, draw(UNIT), draw(UNIT))


@given(selectors(), UNIT)
def test_share_over_a_grid_of_u_is_the_probability(selector: PiecewiseAffine, progress: float) -> None:
    assert isinstance(selector, Selector)
    n = 200
    step = step_at(progress)
    chosen = [selector(step, (i + 0.5) / n) for i in range(n)]
    assert all(sum(weights.values()) == 1 and set(weights) <= set(selector.experts) for weights in chosen)
    share = sum(weights.get("video", 0.0) for weights in chosen) / n
    assert abs(share - selector.probability(step.progress)) <= 0.5 / n + 1e-9


@given(selectors(), UNIT)
def test_probability_is_continuous_and_within_its_ends(selector: PiecewiseAffine, progress: float) -> None:
    p = selector.probability(progress)
    low, high = min(selector.p_e, selector.p_f), 1.0
    assert low - 1e-12 <= p <= high + 1e-12
    assert selector.probability(selector.t_v) == 1.0
    assert selector.probability(selector.t_e) == pytest.approx(selector.p_e, abs=1e-9)
    if selector.t_e < 1:
        assert selector.probability(1.0) == pytest.approx(selector.p_f, abs=1e-9)


def test_certain_choices() -> None:
    assert PiecewiseAffine(0.5, 0.6, 0, 0)(step_at(0.2), 0.999999) == {"video": 1.0}
    assert PiecewiseAffine(0.5, 0.6, 0, 0)(step_at(0.9), 0.0) == {"image": 1.0}
    assert PiecewiseAffine(0.5, 0.6, 0, 0, video="a", image="b")(step_at(0.9), 0.0) == {"b": 1.0}
    assert Always("wan")(step_at(0.3), 0.99) == {"wan": 1.0}
    assert Always("wan").probability(0.5) == 1.0
    assert Always("wan").experts == ("wan",)


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        ((0.7, 0.4, 0.3, 0.3), "t_e 0.4 at or below t_v 0.7"),
        ((0.4, 0.4, 0.3, 0.3), "t_e 0.4 at or below t_v 0.4"),
        ((-0.1, 0.4, 0.3, 0.3), "t_v -0.1: expected a progress"),
        ((0.1, 1.4, 0.3, 0.3), "t_e 1.4: expected a progress"),
        ((0.1, 0.4, 1.3, 0.3), "p_e 1.3: expected a probability"),
        ((0.1, 0.4, 0.3, float("nan")), "p_f nan: expected a probability"),
        ((0.1, 0.4, 0.3, "half"), "p_f 'half': expected a probability"),
        ((0.1, 0.4, 0.3, 0.3, "a", "a"), "video and image are both 'a'"),
        ((0.1, 0.4, 0.3, 0.3, ""), "video ''"),
    ],
)
def test_bad_values(values: tuple[Any, ...], printed: str) -> None:
    with pytest.raises(InputError, match=printed):
        PiecewiseAffine(*values)
