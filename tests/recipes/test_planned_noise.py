"""Recipes of the sprites whose experts are trained where the recommended strategy evaluates them."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

import jvid
from jvid_training.data.latents import encode
from jvid_training.recipe import load_recipe, structure_recipe
from jvid_training.recipe_published import Noise
from jvid_training.train.held_out import VALIDATION_SAMPLES
from jvid_training.train.tasks import objective_of, sources_of, text_of
from jvid_training.train.trainer import train
from tests.caption_tools import captioned, make_captioned
from tests.training_tools import pooled

RECIPES = Path(__file__).parents[2] / "recipes/sprites-64"
BANDS = {"clips": ((0.0, 0.2), (0.65, 1.0)), "frames": ((0.17, 0.7),)}
"""Of t: the strategy changes experts at progress .3 and .8, at the nearest levels of its grid."""


@pytest.mark.parametrize("expert", BANDS)
def test_only_the_noise_differs_from_the_control(expert: str) -> None:
    planned, control = (load_recipe(RECIPES / f"{expert}{end}.toml") for end in ("-planned", ""))
    assert planned.noise == Noise(
        from_strategy="recipes/sprites-64/strategies/frames-between.json", expert=expert
    )
    assert attrs.evolve(planned, noise=Noise(), name=control.name, out=control.out) == control
    assert planned.out != control.out


@pytest.mark.parametrize(("expert", "kind"), [("clips", "video"), ("frames", "image")])
def test_a_run_sees_the_levels_of_its_expert_alone(
    expert: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(RECIPES.parents[1])
    monkeypatch.setitem(VALIDATION_SAMPLES, kind, 2)
    planned = load_recipe(RECIPES / f"{expert}-planned.toml")
    make_captioned(tmp_path / "clips")
    document = captioned(tmp_path, kind, steps=2, batch=2)
    recipe = attrs.evolve(structure_recipe(document), noise=planned.noise, schedule=planned.schedule)
    encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
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
    # Five steps of the plan's eight for clips are of little noise, three of much.
    shares = [sum(low <= t <= high for t in drawn) / len(drawn) for low, high in BANDS[expert]]
    plan = jvid.Composition(jvid.Strategy.load(RECIPES / "strategies/frames-between.json")).plan()
    own = [step.start.t for step in plan.steps if expert in step.weights]
    expected = [sum(low < t <= high for t in own) / len(own) for low, high in BANDS[expert]]
    assert shares == pytest.approx(expected, abs=0.03)
