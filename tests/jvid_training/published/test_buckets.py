"""Published models on data of several sizes: each step calls the network at the size of its bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from jvid.cli import main
from jvid.errors import InputError
from jvid_training.data.windows import Windows
from jvid_training.estimate.dry_run import dry_run
from jvid_training.published.latents import check_latents
from jvid_training.recipe import structure_recipe
from jvid_training.train.objectives import PredictOutput
from jvid_training.train.trainer import train
from tests.jvid_training.published.models import loaded, recipe_of, saved
from tests.training_tools import few_held_out_samples, walker, write_clip, write_recipe

BUCKETS = [{"height": 64, "width": 64}, {"height": 48, "width": 96}]


@pytest.fixture(autouse=True)
def short_validations() -> Iterator[None]:
    with few_held_out_samples(2):
        yield


# One by jvid's own adapter, and one by its pipeline's own call, which computes positions of the size.
@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "StableDiffusion3Pipeline"])
def test_a_run_calls_the_network_at_each_size(name, tmp_path: Path, tmp_path_factory, monkeypatch) -> None:
    for actor, (height, width) in (("ann", (64, 64)), ("bob", (48, 96)), ("eve", (64, 64))):
        write_clip(tmp_path / "clips/walk" / f"{actor}_walk.avi", walker(8, 1.0, height, width))
    options = {"options": {"max_sequence_length": 32}} if "3" in name else {}
    recipe = {
        "name": "sizes", "kind": "image", "out": str(tmp_path / "run"),
        "data": {
            "root": str(tmp_path / "clips"), "latents": str(tmp_path / "latents"), "fps": 12.5, "frames": 2, "size": 64,
            "holdout": ["eve"], "buckets": BUCKETS,
        },
        "network": {"pipeline": str(saved(tmp_path_factory, name)), **options},
        "lora": {"rank": 2},
        "training": {"steps": 6, "batch": 2, "checkpoint_every": 6, "log_every": 6, "threads": 1},
    }  # fmt: skip
    assert main(["encode", str(write_recipe(tmp_path / "recipe.toml", recipe))]) == 0
    sides: dict[int, tuple[int, ...]] = {}
    usual = PredictOutput.loss

    def loss(self: Any, network: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        sides[len(sides)] = tuple(batch["x"].shape[-2:])
        return usual(self, network, batch)

    monkeypatch.setattr(PredictOutput, "loss", loss)
    train(structure_recipe(recipe))
    windows = Windows(tmp_path / "latents")
    shapes = windows.shapes()
    expected = [shapes[int(windows.bucket(0, step, 0) or 0)][1:] for step in range(6)]
    assert [sides[step] for step in range(6)] == expected
    assert len(set(expected)) == 2
    # The estimate weighs the sizes by the shares of what was encoded.
    estimate = dry_run(structure_recipe(recipe | {"out": str(tmp_path / "other")}))
    assert estimate.problem is None
    assert not any("each bucket" in sentence for sentence in estimate.estimate.assumed)


def test_a_bucket_that_the_pipeline_does_not_take_is_named(tmp_path_factory) -> None:
    data = {"root": "unused", "latents": "unused", "buckets": [*BUCKETS, {"height": 72, "width": 56}]}
    network = {"options": {"max_sequence_length": 32}}
    recipe = recipe_of(saved(tmp_path_factory, "StableDiffusion3Pipeline"), data=data, network=network)
    model, _ = loaded(recipe)
    channels = model.denoiser.shape[0]
    windows: Any = SimpleNamespace(
        shapes=lambda: {0: (1, 8, 8), 2: (1, 9, 7)}, manifest=SimpleNamespace(mean=(0.0,) * channels)
    )
    with pytest.raises(InputError, match=r"^bucket 72x56x16 \(height x width x frames\): ") as caught:
        check_latents(model, recipe, windows)
    assert "\n" not in str(caught.value)
