"""Sets that version 0.1 made: read, and gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

from jvid.ensemble import Source
from jvid.errors import InputError
from jvid.strategy import Strategy
from jvid.strategy.shorthand import with_guidance
from jvid_training.generation import ClipSet, generate
from jvid_training.generation.spec import Spec
from tests.generation_tools import content, stamps
from tests.toy import STRATEGY, toy_ensemble

OLD_STRATEGY: dict[str, Any] = {
    "selector": {"name": "piecewise-affine", "options": {"t_v": 0.2, "t_e": 0.7, "p_e": 0.3, "p_f": 0.3}},
    "solver": {"name": "ddpm", "options": {}}, "grid": {"name": "leading", "options": {}}, "steps": 8,
    "guidance": 2.0, "noise": {"image": {"gamma": 0.02, "ratio": 0.0}},
    "smoothing": {"name": "temporal", "options": {"threshold": 2.0}}, "plan_seed": 0, "overlap": 4,
}  # fmt: skip


def toy(folder: Path, num: int, **options: Any) -> ClipSet:
    return generate(folder, num=num, ensemble="toy", loaded=toy_ensemble(), **options)


def older(folder: Path, **changes: Any) -> None:
    """``set.json`` as version 0.1 wrote it."""
    path = folder / "set.json"
    values = json.loads(path.read_text())
    for new, old in (("ensemble", "pair"), ("ensemble_fingerprint", "pair_fingerprint")):
        if new in values:
            values[old] = values.pop(new)
    values.pop("frames", None)
    path.write_text(json.dumps({**values, "format": 1, "strategy": OLD_STRATEGY, **changes}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy(tmp_path_factory.mktemp("sets") / "old", 4, batch=2).folder


@pytest.fixture
def old(made: Path, tmp_path: Path) -> Path:
    """A set of format 1."""
    folder = Path(shutil.copytree(made, tmp_path / "old"))
    older(folder)
    return folder


def test_a_set_of_format_1_is_read(old: Path, made: Path) -> None:
    found = ClipSet.open(old)
    assert found.spec == Spec.load(made)
    assert (found.spec.ensemble, found.spec.strategy, found.frames) == (Source("toy"), STRATEGY, 5)
    assert content(found) == content(ClipSet.open(made))


@pytest.mark.parametrize(
    "strategy",
    [
        STRATEGY,
        Strategy.from_dict(OLD_STRATEGY),
        attrs.evolve(STRATEGY, experts={"image": STRATEGY.experts["image"]}),
        with_guidance(STRATEGY, {"video": 2.0, "image": 2.0}),
    ],
    ids=["today's", "its own", "inherited guidance", "guidance by name"],
)
def test_a_set_of_format_1_goes_on(old: Path, tmp_path: Path, strategy: Strategy) -> None:
    """With the strategy in whatever form; what is there stays, what is new is what one run makes."""
    before = stamps(old)
    grown = toy(old, 7, strategy=strategy)
    assert before.items() <= stamps(old).items()
    assert content(grown) == content(toy(tmp_path / "whole", 7, batch=2))
    assert json.loads((old / "set.json").read_text())["format"] == 2
    assert toy(old, 8, strategy=strategy).complete


def test_a_set_of_format_1_of_another_strategy_is_refused(old: Path) -> None:
    with pytest.raises(
        InputError, match=r"strategy\.experts\.\*\.wrappers: \['guided:scale=2\.0'\] then, "
    ) as caught:
        toy(old, 7, strategy=with_guidance(STRATEGY, 3.0))
    assert "\n" not in str(caught.value)
    older(old, strategy={**OLD_STRATEGY, "guidance": 2.5})
    with pytest.raises(InputError, match="made by another request"):
        toy(old, 7)


def test_a_set_of_a_later_format_is_refused(old: Path) -> None:
    older(old, format=3)
    with pytest.raises(InputError, match=r"set\.json: format 3: expected 2 or 1; update jvid") as caught:
        ClipSet.open(old)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"ensemble_fingerprint": 3},
        {"dtype": None},
        {"device": ["cpu"]},
        {"latents": [4, 5, 8]},
        {"latents": [4, 5, 8, "8"]},
        {"size": [64, 0]},
        {"size": 64},
        {"fps": "12"},
        {"fps": 0},
        {"fps": float("nan")},
        {"fps": 10**400},
        {"threads": 10**30},
        {"latents": [4, 5, 8, 10**30]},
        {"prompts": "abcd"},
        {"prompts": {"a": 1}},
        {"prompts": ["\ud800"]},
        {"versions": ""},
        {"versions": ["ab"]},
        {"versions": {"torch": 2}},
        {"versions": "2"},
        {"untested": {"clips": None}},
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused_when_a_set_is_opened(
    made: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    found = json.loads((made / "set.json").read_text())
    (tmp_path / "set.json").write_text(json.dumps(found | changes))
    with pytest.raises(InputError) as caught:
        Spec.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "changes", "expected"),
    [
        (2, {"latents": None}, "at latents: None: expected a list of 4"),
        (2, {"latents": [4, 5, 8]}, r"at latents: \[4, 5, 8\]: expected a list of 4"),
        (2, {"latents": {"a": 1}}, "at latents: {'a': 1}: expected a list of 4"),
        (2, {"fps": 10**400}, r"at fps: 10+\.\.\.: expected a number, at most 1e308"),
        (2, {"format": 2.0}, r"format 2\.0: expected 2 or 1"),
        (2, {"strategy": {}}, "at strategy: no key 'selector'"),
        (1, {"format": True}, "format True: expected 2 or 1"),
        (1, {"latents": []}, r"at latents: \[\]: expected a list of 4"),
        (1, {"latents": "4588"}, "at latents: '4588': expected a list of 4"),
        (1, {"latents": None}, "at latents: None: expected a list of 4"),
        (1, {"pair": None}, "pair None: expected the name of an ensemble"),
        (1, {"pair": ["toy"]}, r"pair \['toy'\]: expected the name of an ensemble"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_in_both_formats(
    made: Path, tmp_path: Path, version: int, changes: dict[str, Any], expected: str
) -> None:
    shutil.copy(made / "set.json", tmp_path)
    if version == 1:
        older(tmp_path)
    found = json.loads((tmp_path / "set.json").read_text())
    (tmp_path / "set.json").write_text(json.dumps(found | changes))
    with pytest.raises(InputError, match=expected) as caught:
        Spec.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_set_of_experts_comes_back_from_its_file(tmp_path: Path) -> None:
    spec = Spec.load(toy(tmp_path / "set", 1).folder)
    source = Source("toy", {"high": "gaussian:std=.5"}, {"*": "table"}, "pixels", (3, 4, 8, 8), 5.0, "cosine")
    spec = attrs.evolve(spec, ensemble=source)
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_set_names_the_models_that_were_never_compared(tmp_path: Path) -> None:
    plain = toy(tmp_path / "plain", 1)
    assert "untested" not in json.loads((plain.folder / "set.json").read_text())
    ensemble = toy_ensemble()
    members = {**ensemble.members, "image": attrs.evolve(ensemble.member("image"), untested="OwnPipeline")}
    ensemble.members = members
    made = generate(tmp_path / "own", num=1, ensemble="toy", loaded=ensemble)
    assert ClipSet.open(made.folder).spec.untested == {"image": "OwnPipeline"}
    assert content(made) == content(plain)
