"""Random, Boundary, Cycle, Table and Blend: shares, text forms, refusals, and plans of k experts."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.planning import draw_plan, levels_of
from jvid.core.protocols import Level, Step
from jvid.errors import InputError
from jvid.grids import Leading, Trailing
from jvid.plugins.choice import Choice
from jvid.plugins.registry import load
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always, Blend, Boundary, Cycle, PiecewiseAffine, Random, Table

LEVELS = levels_of(Leading(20), TabulatedSchedule.scaled_linear())
ALL = [
    Random(["a", "b", "c"], [0.5, 0.2, 0.3]),
    Random("a+b"),
    Boundary("a+b+c", [0.3, 0.6]),
    Boundary("a+b", 0.8, by="angle"),
    Boundary("a+b", 0.8, by="noise"),
    Boundary("a+b", 500, by="timestep"),
    Cycle("a+b+a", "2+1+3"),
    Table("a*12+b*8"),
    Table([{"a": 0.25, "b": 0.75}] * 20),
    Blend("a+b", "0:1:0+1:0:1"),
    PiecewiseAffine(0.2, 0.7, 0.3, 0.3, "a", "b"),
    Always("a"),
]


def step_at(index, u=0.0):
    return Step(index, 20, LEVELS[index], LEVELS[index + 1])


@pytest.mark.parametrize("selector", ALL, ids=lambda s: type(s).__name__)
@given(index=st.integers(0, 19))
def test_shares_are_the_mean_over_u(selector, index):
    step = step_at(index)
    n = 1000
    total = {}
    for i in range(n):
        weights = selector(step, (i + 0.5) / n)
        assert set(weights) <= set(selector.experts)
        assert math.isclose(sum(weights.values()), 1.0)
        for name, weight in weights.items():
            total[name] = total.get(name, 0.0) + weight / n
    shares = selector.shares(step)
    for name in {*total, *shares}:
        assert abs(total.get(name, 0.0) - shares.get(name, 0.0)) < 1.5 / n
    assert pickle.loads(pickle.dumps(selector)) == selector


def experts(selector):
    return [s.expert for s in draw_plan(selector, LEVELS, ("a", "b", "c"), 0).steps]


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0, 12.0])
def test_a_boundary_of_noise_is_that_of_wans_pipeline(shift):
    """Its rule, ``t >= boundary_ratio * num_train_timesteps``, on the timesteps of diffusers' own scheduler.

    At a shift of 1 and of 3 a step starts at the boundary itself.
    """
    from diffusers import UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )
    scheduler.set_timesteps(40)
    theirs = ["high" if t >= 0.875 * 1000 else "low" for t in scheduler.timesteps.tolist()]
    flow = FlowMatching(shift)
    selector = Boundary("high+low", 0.875, by="noise")
    plan = draw_plan(selector, levels_of(Trailing(40), flow), ("high", "low"), 0, flow)
    assert [step.expert for step in plan.steps] == theirs


def test_boundaries_stand_where_they_are_stated():
    t = [level.t for level in LEVELS[:-1]]
    assert experts(Boundary("a+b+c", [0.3, 0.6])) == [
        "a" if 1 - x < 0.3 - 1e-9 else "b" if 1 - x < 0.6 - 1e-9 else "c" for x in t
    ]
    angle = LEVELS[7].angle
    assert experts(Boundary("a+b", angle, by="angle")) == ["a"] * 7 + ["b"] * 13
    assert experts(Boundary("a+b", 600, by="timestep")) == ["a" if x * 1000 - 1 > 600.5 else "b" for x in t]


def test_turns_and_tables():
    assert experts(Cycle("a+b")) == ["a", "b"] * 10
    assert experts(Cycle("a+b", [3, 1])) == (["a"] * 3 + ["b"]) * 5
    assert experts(Table(["a"] * 5 + ["c"] * 15)) == ["a"] * 5 + ["c"] * 15
    with pytest.raises(InputError, match="20 rows for a plan of 3 steps"):
        Table("a*20")(Step(0, 3, LEVELS[0], LEVELS[1]), 0.0)


@given(u=st.floats(0.0, 1.0, exclude_max=True))
def test_random_follows_u_and_never_chooses_what_has_no_part(u):
    assert Random("a+b+c", [0.0, 1.0, 0.0])(step_at(0), u) == {"b": 1.0}
    expected = "a" if u < 0.25 else "b"
    assert Random("a+b", "0.25+0.75")(step_at(3), u) == {expected: 1.0}


@given(t=st.floats(0.0, 1.0))
def test_blends_are_linear_between_knots(t):
    blend = Blend(["a", "b"], [(0.2, [1, 0]), (0.8, [0.25, 0.75])])
    weights = blend(Step(0, 1, Level(t, 0.5, 0.5), Level(0.0, 1.0, 0.0)), 0.5)
    share = min(max((1 - t - 0.2) / 0.6, 0.0), 1.0)
    assert weights.get("b", 0.0) == pytest.approx(0.75 * share)
    assert sum(weights.values()) == pytest.approx(1.0)


def test_moving_weights_are_no_switch_and_another_set_is():
    plan = draw_plan(Blend("a+b", "0:1:0+0.5:0.5:0.5+1:0.1:0.9"), LEVELS, ("a", "b"), 0)
    assert [s.switched for s in plan.steps].count(True) <= 1
    assert [s.switched for s in draw_plan(Cycle("a+b"), LEVELS, ("a", "b"), 0).steps] == [False] + [True] * 19


@pytest.mark.parametrize(
    ("make", "printed"),
    [
        (lambda: Random([]), "at least one"),
        (lambda: Random("a+a"), "each expert once"),
        (lambda: Random("a+b", [0.5, 0.6]), "sum to 1"),
        (lambda: Random("a+b", [1.0]), "for 2 experts"),
        (lambda: Boundary("a+b", []), "0 boundaries for 2"),
        (lambda: Boundary("a+b+c", [0.6, 0.3]), "rising"),
        (lambda: Boundary("a+b+c", [300, 600], by="timestep"), "falling"),
        (lambda: Boundary("a+b", 0.5, by="sigma"), "by='sigma'"),
        (lambda: Boundary("a+b", 2.0), "from 0 to 1"),
        (lambda: Cycle("a+b", [1, 0.5]), "whole number"),
        (lambda: Table([]), "no rows"),
        (lambda: Table([{"a": 0.5}]), "row 0"),
        (lambda: Table("a*x"), "'a*x'"),
        (lambda: Blend("a+b", [(0.5, [1.0])]), "for 2 experts"),
        (lambda: Blend("a+b", [(0.5, [1, 0]), (0.5, [1, 0])]), "rising progress"),
        (lambda: Random("a+b", "x+y"), "expected numbers"),
    ],
)
def test_what_is_wrong_is_reported(make, printed):
    with pytest.raises(InputError) as caught:
        make()
    assert printed in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("random:experts=a+b,probabilities=.25+.75", Random("a+b", [0.25, 0.75])),
        ("boundary:experts=a+b,at=.5,by=angle", Boundary(["a", "b"], [0.5], "angle")),
        ("cycle:experts=a+b,lengths=2+1", Cycle(["a", "b"], [2, 1])),
        ("table:rows=a*2+b", Table(["a", "a", "b"])),
        ("blend:experts=a+b,knots=0:1:0+1:0:1", Blend(["a", "b"], [(0, [1, 0]), (1, [0, 1])])),
    ],
)
def test_each_can_be_named_on_the_command_line(text, selector):
    assert load("selector", Choice.parse(text)) == selector
