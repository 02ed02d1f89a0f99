"""Strategies as values: JSON and back, and the same sampler as composing by hand."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jvid
from jvid import paper
from jvid.choices import Choice, parse_value
from jvid.errors import InputError, UnknownNameError
from jvid.guidance import Guidance
from jvid.noise import IndependentNoise, ScaledNoise, SharedNoise
from jvid.pair import EXPERTS, Pair
from jvid.registry import using
from jvid.strategy import NoiseShape, Strategy
from tests.toy import ToyPair, built, toy_registry

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    built.clear()
    with using(toy_registry()):
        yield


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("ddpm", "ddpm", {}),
        ("ddim:eta=0", "ddim", {"eta": 0}),
        ("always:name=video", "always", {"name": "video"}),
        ("toys/x: a = .5 , b=true,c=none,d=1e-3", "toys/x", {"a": 0.5, "b": True, "c": None, "d": 0.001}),
        ("folder:folder=/a/b:c", "folder", {"folder": "/a/b:c"}),
    ],
)
def test_a_choice_is_read_from_text(text: str, name: str, options: dict[str, object]) -> None:
    choice = Choice.parse(text)
    assert (choice.name, dict(choice.options)) == (name, options)
    assert Choice.parse(str(choice)) == choice


@pytest.mark.parametrize(
    "text", ["", ":a=1", "x:", "x:a", "x:a=", "x:=1", "x:a=1,a=2", "x:a b=1", "x:a=1,,b=2"]
)
def test_a_choice_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected|twice"):
        Choice.parse(text)


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_values_survive_text(value: object) -> None:
    shown = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    read = parse_value(shown)
    assert read == value
    assert type(read) is type(value)


unit = st.floats(0, 1, allow_nan=False)
guidances = st.builds(
    Guidance,
    st.floats(-10, 10),
    st.none() | st.tuples(unit, unit).map(lambda ends: (min(ends), max(ends))),
    unit,
)
strategies = st.builds(
    Strategy,
    selector=st.builds(
        lambda p: Choice("piecewise-affine", {"t_v": 0.1, "t_e": 0.6, "p_e": p, "p_f": p}), unit
    ),
    solver=st.builds(lambda eta: Choice("ddim", {"eta": eta}), unit) | st.just(Choice("ddpm")),
    grid=st.sampled_from([Choice("leading"), Choice("trailing"), Choice("leading", {"offset": 1})]),
    steps=st.integers(1, 100),
    guidance=st.floats(-10, 10) | st.dictionaries(st.sampled_from(EXPERTS), guidances, min_size=1),
    noise=st.dictionaries(st.sampled_from(["video", "image"]), st.builds(NoiseShape, unit, unit)),
    smoothing=st.none() | st.just(Choice("temporal", {"threshold": 2.0})),
    plan_seed=st.integers(0, 2**70),
    overlap=st.integers(0, 99),
)


@given(strategies)
def test_a_strategy_is_json_and_back(strategy: Strategy) -> None:
    assert Strategy.from_dict(json.loads(json.dumps(strategy.to_dict()))) == strategy
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert copy.deepcopy(strategy) == strategy
    assert hash(copy.deepcopy(strategy)) == hash(strategy)


@given(strategies)
def test_a_strategy_is_a_file_and_back(strategy: Strategy) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "strategy.json"
        strategy.save(path)
        assert Strategy.load(path) == strategy
        assert [each.name for each in path.parent.iterdir()] == ["strategy.json"]


def test_strategies_written_before_guidance_was_by_expert_are_read() -> None:
    path = ROOT / "recipes" / "actions-64" / "strategy.json"
    strategy = Strategy.load(path)
    assert strategy.guidance == 2.0
    assert "overlap" not in json.loads(path.read_text())
    assert strategy.to_dict() == {**json.loads(path.read_text()), "overlap": 4}
    values = json.loads((ROOT / "jvid_models" / "actions_64" / "pair.json").read_text())["strategy"]
    assert Strategy.from_dict(values).to_dict()["guidance"] == values["guidance"] == 2.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no file"), ("{", "is not JSON"), ("[1]", "holds a JSON list: expected a strategy"),
        ('{"selector": "always:name=video", "stesp": 3}', "unknown key 'stesp', expected selector"),
        ("{}", "no key 'selector'"), ('{"selector": "always", "steps": 2.5}', "at steps: 2.5: expected a whole number"),
        ('{"selector": "always", "guidance": {"video": {"scale": 2, "low": 0}}}', "at guidance: unknown key 'low' for video"),
        ('{"selector": "always", "guidance": {"video": {"rescale": 0.5}}}', "no scale for video"),
        ('{"selector": "always", "noise": {"image": {"gama": 1}}}', "at noise.image: unknown key 'gama', expected gamma"),
        ('{"selector": "always", "noise": 3}', "at noise"), ("\udc80", "is not JSON"), ("[" * 100_000, "is not JSON"),
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
        ToyPair.strategy.save(tmp_path / "mine.txt")
    with pytest.raises(InputError, match="no folder"):
        ToyPair.strategy.save(tmp_path / "absent" / "mine.json")
    assert list(tmp_path.iterdir()) == []


def test_choices_may_be_text_in_json() -> None:
    strategy = Strategy.from_dict({"selector": "always:name=video", "solver": "ddim:eta=0.5", "guidance": 1})
    assert strategy == Strategy(
        Choice("always", {"name": "video"}), Choice("ddim", {"eta": 0.5}), guidance=1.0
    )


@pytest.mark.parametrize(
    "values",
    [
        {}, {"selector": 5}, {"selector": "always", "step": 3}, {"selector": "always", "steps": "x"},
        {"selector": "always", "steps": 0}, {"selector": "always", "steps": True},
        {"selector": "always", "guidance": "much"}, {"selector": "always", "guidance": float("nan")},
        {"selector": "always", "noise": {"audio": {}}}, {"selector": "always", "noise": {"image": {"gama": 1}}},
        {"selector": "always", "noise": {"image": {"ratio": 2}}}, {"selector": "always", "plan_seed": -1},
        {"selector": "always", "overlap": -1}, {"selector": "always", "overlap": 2.5}, {"selector": "always", "overlap": True},
        {"selector": {"options": {}}}, [],
    ],
)  # fmt: skip
def test_values_that_are_no_strategy_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        Strategy.from_dict(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_the_papers_strategy_is_jvid_papers_sampler(resolution: int) -> None:
    pair = ToyPair()
    by_name = Strategy.paper(resolution).sampler(pair)
    by_hand = paper.sampler(pair.video, pair.image, resolution)
    assert by_name.selector == by_hand.selector
    assert by_name.postprocessors == by_hand.postprocessors
    assert by_name.plan(3) == by_hand.plan(3)
    arguments = {"shape": pair.shape, "seeds": [5, 6], "cond": pair.text_encoder(["a person waving"] * 2)}
    assert torch.equal(by_name(**arguments), by_hand(**arguments))


def test_an_unknown_resolution_is_refused() -> None:
    with pytest.raises(InputError, match="64, 128, 256"):
        Strategy.paper(512)


def test_the_plan_is_the_samplers_and_needs_no_network() -> None:
    pair = ToyPair()
    strategy = attrs.evolve(pair.strategy, plan_seed=9)
    plan = strategy.plan(pair.schedule)
    assert built == []
    assert plan == strategy.sampler(pair).plan(9)
    assert strategy.plan() == plan  # the toy's schedule is the paper's


@pytest.mark.parametrize("name", ["video", "image"])
def test_an_expert_that_is_never_chosen_is_not_built(name: str) -> None:
    strategy = Strategy(Choice("always", {"name": name}), steps=2)
    assert tuple(strategy.sampler(ToyPair()).experts) == (name,)
    assert built == [name]


def test_wrong_options_are_told_before_networks_are_built() -> None:
    with pytest.raises(InputError, match="eta"):
        attrs.evolve(ToyPair.strategy, solver=Choice("ddim", {"eta": 7})).sampler(ToyPair())
    with pytest.raises(UnknownNameError, match="gausian"):
        attrs.evolve(ToyPair.strategy, smoothing=Choice("gausian")).sampler(ToyPair())
    with pytest.raises(InputError, match="'steps' among its options"):
        attrs.evolve(ToyPair.strategy, grid=Choice("leading", {"steps": 3})).sampler(ToyPair())
    with pytest.raises(InputError, match="audio"):
        Strategy(Choice("always", {"name": "audio"})).sampler(ToyPair())
    assert built == []


def test_gamma_and_ratio_shape_the_noise_of_their_expert() -> None:
    noise = {"image": NoiseShape(gamma=0.5, ratio=0.25), "video": NoiseShape(ratio=1.0)}
    experts = attrs.evolve(ToyPair.strategy, noise=noise).sampler(ToyPair()).experts
    assert experts["image"].noise == ScaledNoise(SharedNoise(0.25), 0.5)
    assert experts["video"].noise == SharedNoise(1.0)
    assert NoiseShape(gamma=0.5).sampler() == ScaledNoise(IndependentNoise(), 0.5)
    assert NoiseShape().sampler() is None


def test_the_toy_is_a_pair() -> None:
    toy = jvid.load("pair", "toy")
    assert [name for name in vars(Pair) if not name.startswith("_") and not hasattr(toy, name)] == []
