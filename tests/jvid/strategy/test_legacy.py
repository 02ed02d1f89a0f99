"""Strategies of version 0.1 are read as values of today: each file that ever was committed, and forms beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid import paper
from jvid.plugins.choice import Choice
from jvid.strategy import EVERY, ExpertStrategy, Guidance, Strategy
from jvid.strategy.legacy import is_legacy, upgraded
from jvid.strategy.shorthand import guidance_of, noise_of, with_guidance, with_noise

ROOT = Path(__file__).resolve().parents[3]
RECIPES = ROOT / "recipes" / "actions-64"
FILES = sorted([*(RECIPES / "strategies").glob("*.json"), RECIPES / "strategy.json"])


def composed(values: dict[str, Any]) -> Strategy:
    """The strategy of an older file, by the shorthand of today."""
    parts = {key: Choice(**values[key]) for key in ("selector", "solver", "grid")}
    numbers = {key: values[key] for key in ("steps", "plan_seed", "overlap") if key in values}
    strategy = Strategy(**parts, **numbers)
    guidance = values["guidance"]
    if isinstance(guidance, dict):
        guidance = {name: Guidance(**each) for name, each in guidance.items()}
    strategy = with_guidance(strategy, guidance)
    for name, each in values["noise"].items():
        strategy = with_noise(strategy, name, **each)
    smoothing = values["smoothing"]
    return attrs.evolve(strategy, postprocessors=() if smoothing is None else (Choice(**smoothing),))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_committed_strategy_is_the_one_of_its_shorthand(path: Path) -> None:
    values = json.loads(path.read_text())
    strategy = Strategy.load(path)
    if not is_legacy(values):  # written anew since
        assert Strategy.from_dict(strategy.to_dict()) == strategy
        return
    assert strategy == composed(values)
    assert Strategy.from_dict(json.loads(json.dumps(strategy.to_dict()))) == strategy
    for name in ("video", "image"):
        numbers = values["noise"].get(name, {"gamma": 1.0, "ratio": 0.0})
        assert noise_of(strategy, name) == (numbers["gamma"], numbers["ratio"])
        stated = values["guidance"]
        stated = stated[name] if isinstance(stated, dict) else {"scale": stated}
        assert guidance_of(strategy, name) == Guidance(**stated)


def test_there_are_files_of_either_form() -> None:
    assert len(FILES) >= 30


def test_files_without_newer_keys_are_read() -> None:
    values = {"selector": {"name": "always", "options": {"name": "video"}}, "noise": {}, "steps": 3}
    strategy = Strategy.from_dict(values)
    assert strategy == with_guidance(Strategy("always:name=video", steps=3), 2.0)  # an absent guidance was 2
    assert strategy.overlap == 4
    assert Strategy.from_dict({**values, "guidance": 1}) == with_guidance(
        Strategy("always:name=video", steps=3), 1.0
    )


def test_new_values_are_left_as_they_are() -> None:
    for values in (
        paper.strategy(64).to_dict(),
        {"selector": "always:name=video"},
        {"selector": "always:name=a", "experts": {"a": {"wrappers": []}}},
        {"selector": "always:name=a", "schedule": "cosine"},
    ):
        assert not is_legacy(values)
        assert upgraded(values) is values


numbers = st.floats(-5, 5)
unit = st.floats(0, 1)
old_guidance = st.fixed_dictionaries(
    {"scale": numbers},
    optional={
        "interval": st.none() | st.tuples(unit, unit).map(sorted),
        "rescale": unit,
        "against": st.sampled_from(["", "early", "image"]),
    },
)


@given(
    guidance=numbers
    | st.dictionaries(st.sampled_from(["video", "image"]), old_guidance | numbers, min_size=1),
    noise=st.dictionaries(
        st.sampled_from(["video", "image"]),
        st.fixed_dictionaries({}, optional={"gamma": st.floats(0, 3), "ratio": unit}),
    ),
    smoothing=st.none()
    | st.sampled_from([{"name": "temporal", "options": {"threshold": 2.0}}, "gaussian:std=1"]),
)
def test_any_older_strategy_is_read_number_by_number(
    guidance: Any, noise: dict[str, Any], smoothing: Any
) -> None:
    strategy = Strategy.from_dict(
        {"selector": "always:name=video", "guidance": guidance, "noise": noise, "smoothing": smoothing}
    )
    for name in ("video", "image"):
        each = noise.get(name, {})
        assert noise_of(strategy, name) == (each.get("gamma", 1.0), each.get("ratio", 0.0))
        stated = guidance.get(name) if isinstance(guidance, dict) else guidance
        wanted = (
            None
            if stated is None
            else Guidance(**(stated if isinstance(stated, dict) else {"scale": stated}))
        )
        assert guidance_of(strategy, name) == wanted
    assert strategy.postprocessors == (() if smoothing is None else (Choice.from_plain(smoothing),))
    assert set(strategy.experts) <= {EVERY, "video", "image"}
    assert all(isinstance(each, ExpertStrategy) for each in strategy.experts.values())
    assert Strategy.from_dict(strategy.to_dict()) == strategy
