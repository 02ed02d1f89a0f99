"""Sheets of a published model while it trains: samples by its pipeline, of the average, that change nothing in the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from jvid.cli import main
from jvid.errors import InputError
from jvid_training.recipe import structure_recipe
from jvid_training.train import previews
from jvid_training.train.trainer import train
from tests.caption_tools import make_captioned
from tests.jvid_training.published.models import saved
from tests.jvid_training.published.test_training import document
from tests.training_tools import write_recipe


def test_sheets_are_of_the_trained_weights_and_change_nothing(
    tmp_path: Path, tmp_path_factory: Any, monkeypatch
) -> None:
    model = saved(tmp_path_factory, "WanPipeline:2.2")
    make_captioned(tmp_path / "clips")
    plain = document(tmp_path, model, "plain", steps=2)
    assert main(["encode", str(write_recipe(tmp_path / "recipe.toml", plain))]) == 0
    train(structure_recipe(plain))
    weights: list[dict[str, torch.Tensor]] = []
    usual = previews.Previews.write

    def write(self: Any, step: int, network: Any) -> Any:
        weights.append({name: each.clone() for name, each in network.state_dict().items()})
        return usual(self, step, network)

    monkeypatch.setattr(previews.Previews, "write", write)
    shown = document(tmp_path, model, "shown", steps=2, samples_every=1)
    shown["samples"] = {"prompts": ["a red block"], "steps": 2, "seed": 3}
    train(structure_recipe(shown))
    first, again = (load_file(tmp_path / run / "final/model.safetensors") for run in ("plain", "shown"))
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights[-1].items()), "of the average"
    sheets = [np.asarray(Image.open(tmp_path / f"shown/samples/0000000{step}.png")) for step in (1, 2)]
    assert sheets[0].shape == sheets[1].shape
    assert (sheets[0] != sheets[1]).any(), "adapters have changed"

    for name in ("ensemble", "strategy"):
        shown["samples"] = {name: "somewhere"}
        with pytest.raises(InputError, match=rf"samples.{name} of a published model"):
            train(structure_recipe(shown | {"out": str(tmp_path / "refused")}))
