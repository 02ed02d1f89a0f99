"""The space of a sweep: what it draws is a strategy, what it cannot is reported in a line before anything runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import attrs
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid import paper
from jvid.core.planning import levels_of
from jvid.core.protocols import Step
from jvid.ensemble import Composition
from jvid.ensemble.canonical import canonical
from jvid.errors import InputError
from jvid.paper import SCHEDULE
from jvid.plugins.choice import Choice
from jvid.plugins.registry import load
from jvid.strategy.shorthand import with_guidance, with_noise
from jvid.strategy.strategy import Strategy
from jvid_training.search.space import Space
from tests.toy import toy_ensemble

BASE = paper.strategy(64)
TOY = toy_ensemble()
CURVE = {name: {"low": 0.0, "high": 1.0} for name in ("t_v", "t_e", "p_e", "p_f")}
WIDE: dict[str, Any] = {
    "selector": {
        "piecewise-affine": {**CURVE, "t_v": {"low": 0.0, "high": 0.8}, "t_e": {"low": 0.1, "high": 1.0}},
        "blend": {**CURVE, "t_v": {"low": 0.0, "high": 0.8}, "t_e": {"low": 0.1, "high": 1.0}},
        "boundary": {"at": {"low": 0.1, "high": 0.9}},
        "cycle": {"lengths": ["1+1", "2+1", "4+1"]},
    },
    "solver": {"ddpm": {}, "unipc": {}, "ddim": {"eta": {"low": 0.0, "high": 1.0}}},
    "grid": ["leading", "by-angle"],
    "smoothing": {"none": {}, "temporal": {"threshold": {"low": 0.5, "high": 4.0}}},
    "steps": {"low": 8, "high": 50},
    "noise": {"image": {"gamma": {"low": 0.01, "high": 1.0, "log": True}, "ratio": [0.0, 0.2]}},
    "guidance": {"video": {"scale": {"low": 1.0, "high": 4.0}, "low": [0.0, 0.2], "high": [0.8, 1.0]}},
}


@cache
def wide() -> Space:
    return Space.of(WIDE, BASE, TOY)


def drawn(space: Space, seed: int, every: bool = False) -> tuple[dict[str, Any], Strategy | None]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    values = space.suggest(study.ask(), every)
    try:
        return values, space.strategy(values)
    except InputError:
        return values, None


@given(st.integers(0, 10**6), st.booleans())
def test_what_is_drawn_is_a_strategy_that_draws_a_plan_and_comes_back(seed: int, every: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = wide()
    values, strategy = drawn(space, seed, every)
    assert strategy is not None
    assert len(Composition(strategy, TOY).plan().steps) == strategy.steps == values["steps"]
    assert Strategy.from_dict(strategy.to_dict()) == strategy
    # What it is drawn from is found again, so that it can be enqueued.
    again = space.values(strategy)
    assert again is not None
    assert space.strategy(again) == strategy
    if every:
        assert set(values) == set(space.axes)
    else:
        assert {path.split(".")[1] for path in values if path.startswith("selector.")} == {values["selector"]}


def test_a_blend_has_the_weights_of_the_curve() -> None:
    space = wide()
    curve = {"t_v": 0.2, "t_e": 0.7, "p_e": 0.3, "p_f": 0.1}
    values = {"selector": "blend", **{f"selector.blend.{name}": value for name, value in curve.items()}}
    blend = load("selector", space.strategy(values).selector)
    affine = load("selector", Choice("piecewise-affine", curve))
    levels = levels_of([1.0, 0.95, 0.6, 0.45, 0.2, 0.0], SCHEDULE())
    for index in range(5):
        step = Step(index, 5, levels[index], levels[index + 1])
        assert blend(step, 0.3).get("video", 0.0) == pytest.approx(
            affine.probability(step.progress), abs=1e-5
        )


def test_the_order_of_t_v_and_t_e_costs_no_trial() -> None:
    space = wide()
    stated = {"t_v": 0.7, "t_e": 0.3, "p_e": 0.5, "p_f": 0.5}
    values = {"selector": "piecewise-affine"} | {
        f"selector.piecewise-affine.{name}": value for name, value in stated.items()
    }
    assert dict(space.strategy(values).selector.options) == {**stated, "t_v": 0.3, "t_e": 0.7}


def test_what_the_space_does_not_name_stays() -> None:
    base = attrs.evolve(with_noise(with_guidance(BASE, 3.0), "video", gamma=0.5), plan_seed=4)
    strategy = Space.of({"steps": [8, 12]}, base, TOY).strategy({"steps": 12})
    assert strategy == canonical(attrs.evolve(base, steps=12), TOY)


def test_known_points_outside_of_the_space_are_distinguished() -> None:
    space = wide()
    alone = attrs.evolve(BASE, selector=Choice("always", {"name": "video"}))
    assert space.values(alone) is None
    assert space.values(attrs.evolve(BASE, steps=4)) is None
    assert space.values(with_noise(BASE, "image", gamma=1.0)) is not None  # gamma 1 is the end of its range
    assert space.values(attrs.evolve(BASE, plan_seed=1)) is None


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"setps": [1, 2]}, r"sweep\.space\.setps: unknown parameter, expected one of selector, solver"),
        ({"selector": {"piecewise-affine": {"t_x": [1]}}}, r"piecewise-affine\.t_x: unknown parameter, expected one of t_v"),
        ({"selector": {"piecewise": {}}}, r"selector\.piecewise: unknown selector 'piecewise': did you mean piecewise-affine"),
        ({"solver": ["ddpm", "ddmi"]}, r"solver\.ddmi: unknown solver 'ddmi'"),
        ({"noise": {"image": {"gama": [1]}}}, r"noise\.image\.gama: unknown parameter, expected one of gamma, ratio"),
        ({"noise": {"sound": {"gamma": [1]}}}, r"noise\.sound: expected a table or a list of choices for video or image"),
        ({"guidance": {"video": {"scal": [1]}}}, r"guidance\.video\.scal: unknown parameter, expected one of scale"),
        ({"smoothing": {"none": {"size": [3]}}}, r"smoothing\.none\.size: unknown parameter, expected none"),
        ({"steps": {"low": 8}}, r"steps\.high: missing"),
        ({"steps": {"low": 50, "high": 8}}, r"steps: low 50 and high 8, expected low below high"),
        ({"steps": {"low": 8, "hi": 50}}, r"steps\.hi: unknown key, expected one of low, high, step, log"),
        ({"steps": [8, 2000]}, r"steps: 2000: .*at most 1000"),
        ({"noise": {"image": {"gamma": {"low": -1.0, "high": 1.0}}}}, r"noise\.image\.gamma: -1\.0: gamma -1\.0: expected"),
        ({"noise": {"image": {"gamma": {"low": 0.0, "high": 1.0, "log": True}}}}, r"gamma\.low: got 0\.0"),
        ({"selector": {"blend": {"t_v": [0.1]}}}, r"selector\.blend\.t_v: .*needs t_e and p_e and p_f"),
        ({"steps": [50]}, r"nothing to search"),
        ({}, r"nothing to search"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(space: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Space.of(space, BASE, TOY)
    assert str(caught.value).startswith("sweep.space")
    assert "\n" not in str(caught.value)
