"""`JVIDPipeline` in a folder: whole, shared parts once, or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

import jvid
from jvid.errors import InputError, MissingDependencyError
from jvid.testing import GaussianOracle
from jvid_models import JVIDPipeline
from jvid_models.diffusion_pipeline import options
from tests.jvid_models.ensembles.diffusion_pipelines import (
    IMAGE,
    PROMPT,
    TURNS,
    TWO,
    VIDEO,
    alone,
    built,
    latents_of,
    off,
    pair,
    quiet,
    seeded,
)


def test_a_folder_holds_it_all_and_shared_parts_once(tmp_path: Path) -> None:
    video, image = built(VIDEO)[0], built(IMAGE)[0]
    parts = {**image.components, "vae": video.vae, "safety_checker": None}
    other = type(image)(**parts, requires_safety_checker=False)
    given = {"video": built(VIDEO)[1], "image": {**built(IMAGE)[1], "seed": 3}}
    pipe = quiet(JVIDPipeline({"video": video, "image": other}, TURNS, options=given, fps=12))
    folder = tmp_path / "pair"
    pipe.save_pretrained(folder)
    assert not (folder / "image" / "vae").exists()
    assert (folder / "video" / "vae" / "diffusion_pytorch_model.safetensors").is_file()
    assert json.loads((folder / "image" / "model_index.json").read_text())["vae"] == [
        "diffusers",
        "AutoencoderKL",
    ]
    assert other.config["vae"] == ("diffusers", "AutoencoderKL")  # what was saved is as it was
    assert not list(folder.rglob("*.bin"))

    read = quiet(JVIDPipeline.from_pretrained(folder))
    assert read.pipelines["video"].vae is read.pipelines["image"].vae
    assert read.strategy == TURNS
    faster = attrs.evolve(TURNS, steps=1)
    assert JVIDPipeline(read.experts, faster).strategy == faster
    named = jvid.load("ensemble", str(folder))
    assert (named.experts, named.strategy, named.fps) == (("video", "image"), TURNS, 12)
    composition = jvid.Composition(TURNS, named)
    x = torch.randn((1, *named.shape), generator=seeded())
    found = composition.sampler()(named.shape, seeds=[0], x=x, cond=composition.condition([PROMPT]))
    # The image model's autoencoder is another, which latents do not show.
    assert off(found, latents_of(pair(), num_inference_steps=2)) < 1e-5
    with pytest.raises(InputError, match="a folder that holds 'image'"):
        pipe.save_pretrained(folder)

    document = json.loads((folder / "jvid_pipeline.json").read_text())
    for change, message in (
        ({"format": 2}, "it has format 2, this jvid reads 1: update jvid"),
        ({"experts": {}}, "its experts are {}: expected some, by name"),
        (
            {"experts": {"video": {**document["experts"]["video"], "folder": "../pair"}}},
            "expert 'video' has no folder '../pair' in it",
        ),
    ):
        (folder / "jvid_pipeline.json").write_text(json.dumps({**document, **change}))
        with pytest.raises(InputError, match=message):
            JVIDPipeline.from_pretrained(folder)
    (folder / "jvid_pipeline.json").write_text(json.dumps(document))
    shutil.rmtree(folder / "image")
    with pytest.raises(InputError, match=r"expert 'image' has no folder 'image' in it: write it again"):
        JVIDPipeline.from_pretrained(folder)
    with pytest.raises(MissingDependencyError, match=r"no .*jvid_pipeline.json: expected a local folder"):
        JVIDPipeline.from_pretrained(tmp_path)


def test_two_experts_of_one_pipeline_are_one_folder(tmp_path: Path) -> None:
    alone(TWO).save_pretrained(tmp_path / "two")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["jvid_pipeline.json", "pipeline"]
    read = quiet(JVIDPipeline.from_pretrained(tmp_path / "two"))
    assert read.experts.names == ("high", "low")
    # The pipeline's own folder is one, too.
    plain = JVIDPipeline.from_pretrained(tmp_path / "two" / "pipeline", dtype=torch.bfloat16)
    assert (plain.strategy, plain.dtype) == (read.strategy, torch.bfloat16)


def test_what_is_not_saved_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = pair()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pipe.pipelines["image"].text_encoder, "save_pretrained", full)
    with pytest.raises(InputError, match="No space left"):
        pipe.save_pretrained(tmp_path / "pair")
    toy = jvid.Ensemble({"a": GaussianOracle(jvid.FlowMatching())}, (3, 2, 4, 4))
    with pytest.raises(InputError, match="expert 'a' is a Member: only pipelines of diffusers are saved"):
        JVIDPipeline(toy, jvid.Strategy("always:name=a", "euler")).save_pretrained(tmp_path / "toy")
    with pytest.raises(InputError, match="weights are written as safetensors only"):
        pipe.save_pretrained(tmp_path / "pair", safe_serialization=False)
    assert list(tmp_path.iterdir()) == []


def test_an_ensemble_of_any_origin_and_its_surroundings() -> None:
    oracle = GaussianOracle(jvid.FlowMatching(), mean=0.3, std=0.5)
    toy = jvid.Ensemble({"a": oracle}, (3, 4, 8, 8), fps=5, codec=jvid.PixelCodec(), frames=jvid.FrameRule())
    pipe = quiet(JVIDPipeline(toy, jvid.Strategy("always:name=a", "euler", "by-angle", steps=4, overlap=2)))
    made = pipe("anything", num_frames=6, generator=seeded())
    assert (made.frames.shape, made.fps) == ((1, 6, 8, 8, 3), 5.0)
    assert np.array_equal(pipe("anything", num_frames=6, generator=seeded()).frames, made.frames)
    with pytest.raises(InputError, match="height: no expert's pipeline takes it, leave it out"):
        pipe("anything", height=16)
    whole = jvid.load("ensemble", video=built(VIDEO)[0], image=built(IMAGE)[0], fps=3)
    again = JVIDPipeline(whole, TURNS)
    assert set(again.pipelines) == {"video", "image"}
    assert again._ensembles(options.CallOptions(num_frames=3, height=64, width=64)).fps == 3
