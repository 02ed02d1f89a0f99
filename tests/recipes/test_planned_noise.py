"""Recipes of the sprites whose experts are trained where the recommended strategy evaluates them."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

import jvid
import jvid_models
from jvid_training.data.latents import encode
from jvid_training.recipe import load_recipe, structure_recipe
from jvid_training.recipe_published import Noise
from jvid_training.train.tasks import objective_of, sources_of, text_of
from jvid_training.train.trainer import train
from tests.caption_tools import captioned, make_captioned
from tests.training_tools import few_held_out_samples, pooled

RECIPES = Path(__file__).parents[2] / "recipes/sprites-64"
STRATEGY = "recipes/sprites-64/strategies/frames-between-early.json"
BANDS = {"clips": ((0.0, 0.28), (0.734, 1.0)), "frames": ((0.279, 0.735),)}
"""Of t, in the schedule's thousand: the strategy changes experts at progress .2 and .7, at the nearest levels of its grid, which
are t = .7342 and .2794."""


def test_the_strategy_is_the_one_that_is_recommended() -> None:
    bundled = json.loads((Path(jvid_models.__file__).parent / "sprites_64/ensemble.json").read_text())
    assert (
        json.loads((RECIPES.parents[1] / STRATEGY).read_text())["selector"] == bundled["strategy"]["selector"]
    )


@pytest.mark.parametrize("expert", BANDS)
def test_only_the_noise_differs_from_the_control(expert: str) -> None:
    planned, control = (load_recipe(RECIPES / f"{expert}{end}.toml") for end in ("-planned", ""))
    assert planned.noise == Noise(from_strategy=STRATEGY, expert=expert)
    assert attrs.evolve(planned, noise=Noise(), name=control.name, out=control.out) == control
    assert planned.out != control.out


@pytest.mark.parametrize(("expert", "kind"), [("clips", "video"), ("frames", "image")])
def test_a_run_sees_the_levels_of_its_expert_alone(
    expert: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(RECIPES.parents[1])
    planned = load_recipe(RECIPES / f"{expert}-planned.toml")
    make_captioned(tmp_path / "clips")
    document = captioned(tmp_path, kind, steps=2, batch=2)
    recipe = attrs.evolve(structure_recipe(document), noise=planned.noise, schedule=planned.schedule)
    encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
    with few_held_out_samples(2):
        train(recipe)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2]
    sources = sources_of(recipe)
    objective = objective_of(recipe, text_of(recipe, sources), "cpu")  # type: ignore[arg-type]
    drawn = [
        (int(objective.sample(sources["train"], 0, step, place, 8)["n"]) + 1) / 1000
        for step in range(20)
        for place in range(8)
    ]
    assert all(any(low <= t <= high for low, high in BANDS[expert]) for t in drawn)
    # Seven steps of the plan's nine for clips are of little noise, two of much.
    shares = [sum(low <= t <= high for t in drawn) / len(drawn) for low, high in BANDS[expert]]
    plan = jvid.Composition(jvid.Strategy.load(STRATEGY)).plan()
    own = [step.start.t for step in plan.steps if expert in step.weights]
    expected = [sum(low < t <= high for t in own) / len(own) for low, high in BANDS[expert]]
    assert shares == pytest.approx(expected, abs=0.03)
