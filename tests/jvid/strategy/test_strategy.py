"""Strategies as values: JSON and files and back without loss, and what is no strategy refused in one line."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.strategy import EVERY, ExpertStrategy, Guidance, Strategy
from jvid.strategy.shorthand import with_guidance, with_noise
from tests.jvid.plugins.test_choice import nested
from tests.toy import STRATEGY

names = st.sampled_from([EVERY, "video", "image", "high", "low.1", "a-b_c"])
experts = st.builds(ExpertStrategy, st.none() | st.lists(nested, max_size=3).map(tuple), st.none() | nested)
strategies = st.builds(
    Strategy,
    selector=nested,
    solver=nested,
    grid=nested,
    steps=st.integers(1, 100),
    experts=st.dictionaries(names, experts, max_size=3),
    postprocessors=st.lists(nested, max_size=3).map(tuple),
    schedule=st.none() | nested,
    initial=st.none() | nested,
    plan_seed=st.integers(0, 2**70),
    overlap=st.integers(0, 99),
)


@given(strategies)
def test_a_strategy_is_json_and_back(strategy: Strategy) -> None:
    read = Strategy.from_dict(json.loads(json.dumps(strategy.to_dict())))
    assert read == strategy
    assert {name: repr(each) for name, each in read.experts.items()} == {
        name: repr(each) for name, each in strategy.experts.items()
    }
    for other in (pickle.loads(pickle.dumps(strategy)), copy.deepcopy(strategy)):
        assert other == strategy
        assert hash(other) == hash(strategy)


@given(strategies)
def test_a_strategy_is_a_file_and_back(strategy: Strategy) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "strategy.json"
        strategy.save(path)
        assert Strategy.load(path) == strategy
        assert [each.name for each in path.parent.iterdir()] == ["strategy.json"]


def test_json_is_as_short_as_what_it_states() -> None:
    strategy = Strategy("always:name=video", "ddim:eta=.5", experts={"video": ExpertStrategy()})
    assert strategy.to_dict() == {
        "selector": "always:name=video", "solver": "ddim:eta=0.5", "grid": "leading", "steps": 50, "plan_seed": 0, "overlap": 4,
    }  # fmt: skip
    whole = attrs.evolve(
        strategy,
        experts={
            "high": ExpertStrategy(("guided:scale=3",), "mixed:alpha=1"),
            "low": ExpertStrategy(()),
            EVERY: ExpertStrategy(noise="shared:ratio=.5"),
        },
        postprocessors=("temporal:threshold=2", Choice("known", {"at": [0, 1]})),
        schedule="cosine",
        initial="progressive:alpha=2",
    ).to_dict()
    assert whole["experts"] == {
        "high": {"wrappers": ["guided:scale=3"], "noise": "mixed:alpha=1"},
        "low": {"wrappers": []},  # the bare denoiser: not the same as stating nothing
        "*": {"noise": "shared:ratio=0.5"},
    }
    assert whole["postprocessors"] == ["temporal:threshold=2", {"name": "known", "options": {"at": [0, 1]}}]
    assert (whole["schedule"], whole["initial"]) == ("cosine", "progressive:alpha=2")


def test_choices_may_be_text_in_json() -> None:
    values = {
        "selector": "always:name=video", "solver": {"name": "ddim", "options": {"eta": 0.5}},
        "experts": {"video": {"wrappers": ["guided:scale=1", {"name": "cached"}], "noise": "scaled:gamma=.5"}},
    }  # fmt: skip
    assert Strategy.from_dict(values) == Strategy(
        Choice("always", {"name": "video"}),
        Choice("ddim", {"eta": 0.5}),
        experts={
            "video": ExpertStrategy(
                (Choice("guided", {"scale": 1}), Choice("cached")), Choice("scaled", {"gamma": 0.5})
            )
        },
    )


def test_what_is_stated_of_an_expert_goes_before_what_holds_for_each() -> None:
    strategy = Strategy(
        "always:name=a",
        experts={
            EVERY: ExpertStrategy(("guided:scale=2",), "shared:ratio=1"),
            "a": ExpertStrategy(wrappers=()),
            "b": ExpertStrategy(noise="independent"),
        },
    )
    shared, guided = Choice.parse("shared:ratio=1"), (Choice.parse("guided:scale=2"),)
    assert strategy.of("a") == ExpertStrategy((), shared)
    assert strategy.of("b") == ExpertStrategy(guided, Choice("independent"))
    assert strategy.of("c") == ExpertStrategy(guided, shared)
    assert Strategy("always:name=a").of("a") == ExpertStrategy(None, None)
    # What states nothing is as if it were not there.
    assert Strategy("always:name=a", experts={"a": ExpertStrategy()}) == Strategy("always:name=a")
    assert strategy.with_expert("a", ExpertStrategy()).of("a") == strategy.of("c")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no file .*: expected a strategy; write one with"), ("{", "is not JSON"),
        ("[1]", "holds a JSON list: expected a str"),
        ('{"selector": "always:name=video", "stesp": 3}', "unknown key 'stesp', expected selector"),
        ("{}", "no key 'selector'"), ('{"selector": "always", "steps": 2.5}', "at steps: 2.5: expected a whole number"),
        ('{"selector": "always", "experts": {"a": {"nose": "x"}}}', "at experts.a: unknown key 'nose', expected wrappers, noise"),
        ('{"selector": "always", "experts": {"a": {"wrappers": "x"}}}', "at experts.a: wrappers 'x': expected a list, the inner"),
        ('{"selector": "always", "experts": {"a": {"wrappers": ["x", "y:"]}}}', r"at experts\.a.*'y:': expected a name"),
        ('{"selector": "always", "experts": {"a": 3}}', "at experts.a: 3: expected an object with wrappers and noise"),
        ('{"selector": "always", "experts": 3}', "at experts"),
        ('{"selector": "always", "postprocessors": [{"nam": "x"}]}', "at postprocessors.0.*expected a component's name"),
        ('{"selector": "always", "initial": 3}', "at initial: 3: expected a component's name"),
        # What versions before experts by name wrote is read, and refused in their terms.
        ('{"selector": "always", "guidance": {"video": {"scale": 2, "low": 0}}}', "at guidance: unknown key 'low' for video"),
        ('{"selector": "always", "guidance": {"video": {"rescale": 0.5}}}', "no scale for video"),
        ('{"selector": "always", "noise": {"image": {"gama": 1}}}', "at noise: unknown key 'gama' for image, expected gamma"),
        ('{"selector": "always", "noise": 3}', "at noise"),
        ('{"selector": "always", "postprocessors": "temporal"}', "at postprocessors: 'temporal': expected a list"),
        ("\udc80", "is not JSON .*utf-8"), ("[" * 100_000, "is not JSON"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_strategy_is_refused_by_name(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=words) as caught:
        Strategy.load(path)
    assert "mine.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_strategy_is_saved_as_json_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected \.json"):
        STRATEGY.save(tmp_path / "mine.txt")
    with pytest.raises(InputError, match="no folder"):
        STRATEGY.save(tmp_path / "absent" / "mine.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "values",
    [
        {}, {"selector": 5}, {"selector": "always", "step": 3}, {"selector": "always", "steps": "x"},
        {"selector": "always", "steps": 0}, {"selector": "always", "steps": True},
        {"selector": "always", "guidance": "much"}, {"selector": "always", "guidance": float("nan")},
        {"selector": "always", "guidance": {"audio": 2}}, {"selector": "always", "guidance": {}},
        {"selector": "always", "guidance": None}, {"selector": "always", "guidance": True},
        {"selector": "always", "noise": {"audio": {"gamma": 2}}}, {"selector": "always", "noise": {"image": {"gama": 1}}},
        {"selector": "always", "noise": {"image": {"ratio": 2}}}, {"selector": "always", "noise": {"image": 3}},
        {"selector": "always", "smoothing": 3}, {"selector": "always", "plan_seed": -1},
        {"selector": "always", "overlap": -1}, {"selector": "always", "overlap": 2.5}, {"selector": "always", "overlap": True},
        {"selector": "always", "experts": {"a": {"wrappers": {}}}}, {"selector": "always", "postprocessors": "temporal"},
        {"selector": "always", "experts": {"a": {}}, "guidance": 2.0}, {"selector": {"options": {}}}, [], None, "always",
    ],
)  # fmt: skip
def test_values_that_are_no_strategy_are_refused(values: Any) -> None:
    with pytest.raises(InputError) as caught:
        Strategy.from_dict(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"wrappers": "guided"}, {"wrappers": Choice("guided")}])
def test_a_stack_is_a_list(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'guided': expected a list of choices, in order"):
        ExpertStrategy(**options)


def test_an_older_strategy_states_nothing_that_a_new_one_could_not() -> None:
    """The changes of shorthand and the values of a file are the same values."""
    strategy = with_noise(with_guidance(STRATEGY, {"image": Guidance(3, (0.2, 0.8))}), "image", ratio=0.5)
    assert Strategy.from_dict(strategy.to_dict()) == strategy
