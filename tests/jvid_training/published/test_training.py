"""From clips and a published model to its LoRA: encoded by its own autoencoder, trained, stopped, gone on with, and loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import jvid
from jvid.cli import main
from jvid.errors import InputError
from jvid_training.data.manifest import load_manifest
from jvid_training.recipe import structure_recipe
from jvid_training.train.trainer import train
from tests.caption_tools import make_captioned
from tests.jvid_training.published.models import saved
from tests.training_tools import few_held_out_samples, write_recipe


@pytest.fixture(autouse=True)
def short_validations() -> Iterator[None]:
    with few_held_out_samples(2):
        yield


def document(folder: Path, model: Path, run: str, **training: Any) -> dict[str, Any]:
    return {
        "name": "lora",
        "kind": "video",
        "out": str(folder / run),
        "data": {
            "root": str(folder / "clips"),
            "latents": str(folder / "latents"),
            "fps": 12.5,
            "frames": 5,
            "size": 32,
            "crop_size": 48,
            "captions": "metadata",
            "holdout_by": "split",
            "holdout": ["test"],
        },
        "network": {"pipeline": str(model), "expert": "low", "options": {"max_sequence_length": 32}},
        "lora": {"rank": 2},
        "noise": {"bands": [[0.0, 0.875]], "by": "noise"},
        "optimiser": {"lr": 1e-2, "warmup": 1},
        "training": {"batch": 2, "checkpoint_every": 1, "log_every": 1, "threads": 1, "ema": 0.5, **training},
    }


def test_wan_is_trained_on_clips_where_its_pipeline_evaluates_it(tmp_path: Path, tmp_path_factory) -> None:
    model = saved(tmp_path_factory, "WanPipeline:2.2")
    make_captioned(tmp_path / "clips")
    whole = document(tmp_path, model, "whole", steps=2)
    assert main(["encode", str(write_recipe(tmp_path / "recipe.toml", whole))]) == 0
    manifest = load_manifest(tmp_path / "latents")
    assert (manifest.frames, len(manifest.mean)) == (2, 16)
    train(structure_recipe(whole))
    rows = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert all(row["validation"] > 0 for row in rows)
    # Stopped after a step and gone on with, batches made by a worker, it has the same adapters.
    for steps in (1, 2):
        train(structure_recipe(document(tmp_path, model, "broken", steps=steps, workers=steps - 1)))
    first, again = (load_file(tmp_path / run / "final/model.safetensors") for run in ("whole", "broken"))
    assert all("lora_" in name or name == "origin" for name in first)
    assert first.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    checkpoint = load_file(tmp_path / "whole/checkpoint-00000002/model.safetensors")
    assert checkpoint.keys() == first.keys()
    assert any(bool(tensor.any()) for name, tensor in first.items() if "lora_B" in name)

    lora = tmp_path / "mine.safetensors"
    assert main(["export", "--lora", str(tmp_path / "whole"), "-o", str(lora)]) == 0
    sizes = {"height": 32, "width": 32, "num_frames": 5, "max_sequence_length": 32}
    made = jvid.load("ensemble", str(model), lora_2=str(lora), **sizes)
    plain = jvid.load("ensemble", str(model), **sizes)
    x, t = torch.randn(1, *made.shape), torch.tensor(0.5, dtype=torch.float64)
    cond = made.condition(["a red block walks"])
    with torch.no_grad():
        for name, moved in (("high", False), ("low", True)):
            one, other = (each.denoiser(name)(x, t, cond) for each in (made, plain))
            assert bool((one - other).abs().max() > 1e-5) is moved

    wrong = document(tmp_path, model, "wrong", steps=1)
    wrong["data"]["size"] = 48
    with pytest.raises(InputError, match="holds latents of other settings"):
        train(structure_recipe(wrong))
