"""Recipes: what is committed loads, what is wrong is named by its key in one line."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from jvid.errors import InputError
from jvid_training.data.latents import key_of
from jvid_training.recipe import Optimiser, Training, load_recipe, structure_recipe
from jvid_training.train.networks import build_network
from jvid_training.train.optimisation import learning_rate
from tests.training_tools import document

RECIPES = sorted(
    path
    for path in (Path(__file__).parents[2] / "recipes").glob("*/*.toml")
    if "[training]" in path.read_text()
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_committed_recipes_load_and_build(path: Path) -> None:
    recipe = load_recipe(path)
    assert sum(p.numel() for p in build_network(recipe).parameters()) > 1e6


def test_the_pairs_recipes_share_one_encoding() -> None:
    keys = [
        key_of(recipe.data, recipe.codec)
        for recipe in map(load_recipe, RECIPES)
        if recipe.name.startswith("actions-64")
    ]
    assert len(keys) == 10
    assert all(key == keys[0] for key in keys)


def test_the_defaults_are_the_papers() -> None:
    assert Optimiser().lr == 1e-4
    assert Optimiser().warmup == 500
    assert Optimiser().decay == 0
    training = Training(steps=1, batch=1)
    assert (training.drop, training.offset) == (0.3, 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["data"].update(fps=-3), "data.fps: got -3.0, expected a number above 0"),
        (lambda d: d["data"].update(fps="fast"), "data.fps: got 'fast', expected a number"),
        (lambda d: d["data"].update(frame=16), "data.frame: unknown key, expected one of"),
        (lambda d: d["training"].update(drop=1.5), r"training.drop: got 1.5, expected a number in \[0, 1\]"),
        (lambda d: d["training"].pop("steps"), "training.steps: missing"),
        (lambda d: d["training"].update(steps=1.5), "training.steps: got 1.5, expected int"),
        (lambda d: d.update(kind="sound"), "kind"),
        (lambda d: d["data"].update(crop="left"), "data.crop"),
        (lambda d: d.pop("data"), "data: missing"),
    ],
)
def test_wrong_keys_are_named(tmp_path: Path, change, message: str) -> None:
    recipe = document(tmp_path)
    change(recipe)
    with pytest.raises(InputError, match=message) as caught:
        structure_recipe(recipe, "r.toml")
    assert str(caught.value).startswith("r.toml: ")
    assert "\n" not in str(caught.value)


def test_wrong_files_and_networks_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe at"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("name = [")
    with pytest.raises(InputError, match="is not TOML"):
        load_recipe(tmp_path / "bad.toml")
    wrong = document(tmp_path)
    wrong["network"]["width"] = 3
    with pytest.raises(InputError, match=r"network\.width: unknown key, expected one of channels"):
        build_network(structure_recipe(wrong))
    for key, value in {"layers": 10**400, "channels": [64, 2**40]}.items():
        large = document(tmp_path)
        large["network"][key] = value
        with pytest.raises(InputError, match=rf"network\.{key} .*: expected at most \d+; give fewer"):
            build_network(structure_recipe(large))


def test_learning_rate_warms_up_stays_and_falls() -> None:
    optimiser = Optimiser(lr=1.0, warmup=10, decay=0.25)
    rates = [learning_rate(optimiser, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:75] == pytest.approx([1.0] * 66)
    assert rates[99] == pytest.approx(0.04)
    assert all(a >= b for a, b in itertools.pairwise(rates[75:]))
    assert {learning_rate(Optimiser(), step, 10**6) for step in (500, 10**5, 10**6 - 1)} == {1e-4}
