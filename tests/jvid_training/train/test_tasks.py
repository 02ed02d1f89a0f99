"""What a recipe's kind means for its run: latents have to be those of the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from jvid.errors import InputError
from jvid_training.recipe import CodecChoice, Recipe
from jvid_training.train.tasks import sources_of
from tests.training_tools import prepare


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return prepare(tmp_path_factory.mktemp("encoded"), "video")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"fps": 25.0}, "fps"),
        ({"size": 64}, "size"),
        ({"frames": 4}, "frames"),
        ({"holdout": ("abe",)}, "holdout"),
        ({"root": "elsewhere"}, "root"),
        ({"flip": False}, "flip"),
        ({"codec": CodecChoice("autoencoder", {"folder": "mine"})}, "codec"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_latents_of_other_settings_are_not_trained_on(
    recipe: Recipe, changed: dict[str, Any], named: str
) -> None:
    assert sources_of(recipe)["train"].manifest.fps == recipe.data.fps
    codec = changed.pop("codec", recipe.codec)
    other = attrs.evolve(recipe, codec=codec, data=attrs.evolve(recipe.data, **changed))
    with pytest.raises(InputError, match=rf"holds latents of other settings.*{named}") as caught:
        sources_of(other)
    assert "\n" not in str(caught.value)


def test_what_latents_do_not_depend_on_may_differ(recipe: Recipe) -> None:
    other = attrs.evolve(recipe, data=attrs.evolve(recipe.data, phrases={"walk": "strolling"}), name="other")
    assert len(sources_of(other)["train"]) == len(sources_of(recipe)["train"])


def test_the_folder_is_named(recipe: Recipe) -> None:
    other = attrs.evolve(recipe, data=attrs.evolve(recipe.data, fps=25.0))
    with pytest.raises(InputError, match=Path(recipe.data.latents).name):
        sources_of(other)
