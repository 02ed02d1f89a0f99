"""Values of a recipe that a command line changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from jvid.errors import InputError
from jvid_training.overrides import changed
from jvid_training.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes/actions-64/image.toml"


def test_values_are_toml_or_text() -> None:
    document = {"name": "a", "data": {"fps": 10, "holdout": ["ann"]}, "codec": {"options": {"folder": "x"}}}
    settings = [
        "name=b", "data.fps=12.5", 'data.holdout=["bob", "eve"]', "data.root=clips/of mine", 'text.name="clip"',
        "codec.options.folder=../y", 'data.phrases."Yo.Yo"=playing', "data.flip=true", "data.phase=1\nx = 2",
    ]  # fmt: skip
    assert changed(document, settings) == {
        "name": "b",
        "data": {
            "fps": 12.5, "holdout": ["bob", "eve"], "root": "clips/of mine", "phrases": {"Yo.Yo": "playing"}, "flip": True,
            "phase": "1\nx = 2",
        },
        "codec": {"options": {"folder": "../y"}},
        "text": {"name": "clip"},
    }  # fmt: skip
    assert document == {
        "name": "a",
        "data": {"fps": 10, "holdout": ["ann"]},
        "codec": {"options": {"folder": "x"}},
    }


def test_a_recipe_with_settings_is_checked_as_any_other() -> None:
    recipe = load_recipe(RECIPE, ["training.steps=2", "optimiser.lr=1e-3", "training.steps=3"])
    assert (recipe.training.steps, recipe.optimiser.lr) == (3, 1e-3)
    for setting, message in (
        ("training.step=2", "training.step: unknown key"),
        ("training.steps=two", "training.steps: got 'two', expected int"),
        ("training.steps", "--set 'training.steps': expected KEY=VALUE"),
        ("=2", "expected KEY=VALUE"),
        ("a b=2", "expected KEY=VALUE"),
        ("name.first=2", "name is no table"),
    ):
        with pytest.raises(InputError, match=message):
            load_recipe(RECIPE, [setting])
