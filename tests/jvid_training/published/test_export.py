"""What becomes of a trained published model: files of LoRA, pipelines of diffusers, and experts of an ensemble."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

import jvid
from jvid.cli import main
from jvid.errors import InputError
from jvid_models.adapters.pipelines.load import read_pipeline
from jvid_models.adapters.pipelines.lora import load_loras
from jvid_training.export import Part, export_runs, read_published
from jvid_training.published.model import load_model
from tests.jvid_training.published.models import (
    CAPTIONS,
    called_with,
    loaded,
    off,
    output,
    recipe_of,
    saved,
    written_run,
)

SD, CLIPS, TWO, SD3 = (
    "StableDiffusionPipeline",
    "TextToVideoSDPipeline",
    "WanPipeline:2.2",
    "StableDiffusion3Pipeline",
)
LORA = {"rank": 2, "alpha": 3.0}
SHORT = {"options": {"max_sequence_length": 32}}


@pytest.mark.parametrize(
    ("name", "frames", "network", "loading"),
    [
        (SD, 1, {}, {}),
        (SD3, 1, SHORT, {}),
        (TWO, 5, {"expert": "low", **SHORT}, {"load_into_transformer_2": True}),
    ],
)
def test_diffusers_loads_the_lora(name, frames, network, loading, tmp_path, tmp_path_factory, capsys) -> None:
    folder = saved(tmp_path_factory, name)
    recipe = recipe_of(folder, frames=frames, network=network, lora=LORA)
    model, trained = loaded(recipe)
    args, kwargs, expected = called_with(trained, model)
    run = written_run(recipe, trained, tmp_path / "run")
    assert main(["export", "--lora", str(run), "-o", str(tmp_path / "mine.safetensors")]) == 0
    kind: Any = getattr(diffusers, name.partition(":")[0])
    pipe = kind.from_pretrained(folder)
    part = "transformer_2" if loading else model.component
    before = output(getattr(pipe, part), args, kwargs)
    pipe.load_lora_weights(str(tmp_path), weight_name="mine.safetensors", **loading)
    assert off(output(getattr(pipe, part), args, kwargs), expected) < 1e-5
    assert off(before, expected) > 1e-3


def test_jvid_loads_the_lora_of_a_network_without_diffusers_mixin(tmp_path, tmp_path_factory) -> None:
    folder = saved(tmp_path_factory, CLIPS)
    recipe = recipe_of(folder, frames=3, lora=LORA)
    model, trained = loaded(recipe)
    args, kwargs, expected = called_with(trained, model)
    run = written_run(recipe, trained, tmp_path / "run")
    assert main(["export", "--lora", str(run), "-o", str(tmp_path / "mine.safetensors")]) == 0
    pipe = read_pipeline(folder)
    before = output(pipe.unet, args, kwargs)
    load_loras(pipe, tmp_path / "mine.safetensors")
    assert off(output(pipe.unet, args, kwargs), expected) < 1e-5
    load_loras(pipe, tmp_path / "mine.safetensors", 0.0)
    assert off(before, expected) > 1e-3


def test_experts_of_published_models_are_pipelines_of_diffusers(tmp_path, tmp_path_factory) -> None:
    """One by LoRA, which is merged, and one that was trained whole."""
    stills = recipe_of(saved(tmp_path_factory, SD), lora=LORA)
    clips = recipe_of(saved(tmp_path_factory, CLIPS), frames=3)
    runs, calls = {}, {}
    for name, recipe in (("image", stills), ("video", clips)):
        model, trained = loaded(recipe)
        with torch.no_grad():
            if recipe.lora is None:
                trained.network.conv_out.weight.mul_(1.5)
        calls[name] = called_with(trained, model)
        runs[name] = written_run(recipe, trained, tmp_path / name)
    strategy = jvid.Strategy("boundary:experts=video+image,at=0.5", "ddim", "trailing", steps=2)
    strategy.save(tmp_path / "strategy.json")
    out = tmp_path / "out"
    experts = [f"--expert={name}={run}" for name, run in runs.items()]
    assert main(["export", *experts, "--strategy", str(tmp_path / "strategy.json"), "-o", str(out)]) == 0
    parts = {"image": diffusers.UNet2DConditionModel, "video": diffusers.UNet3DConditionModel}
    for name, (args, kwargs, expected) in calls.items():
        unet = parts[name].from_pretrained(out / name, subfolder="unet")
        assert off(output(unet, args, kwargs), expected) < 1e-5
    made = jvid.load("ensemble", str(out))
    assert (set(made.experts), made.frame_experts, made.strategy) == (
        {"image", "video"},
        ("image",),
        strategy,
    )
    composition = jvid.Composition(made.strategy, made)
    latents = composition.sampler()(made.shape, seeds=[1], cond=composition.condition([CAPTIONS[0]]))
    assert made.codec.decode(latents).shape == (1, 3, 3, 64, 64)
    with pytest.raises(InputError, match="no strategy for image, video: expected --strategy"):
        export_runs({name: Part(run) for name, run in runs.items()}, None, tmp_path / "other")
    with pytest.raises(InputError, match=r"^image: .* is no ensemble: leave #low out$"):
        export_runs({"image": Part(runs["image"], "low")}, None, tmp_path / "other")
    with pytest.raises(InputError, match="a decoder beside a published model"):
        export_runs({"image": Part(runs["image"])}, Part(tmp_path), tmp_path / "other")


def test_two_transformers_of_one_folder_share_the_rest(tmp_path, tmp_path_factory) -> None:
    folder = saved(tmp_path_factory, TWO)
    experts = {}
    for name in ("high", "low"):
        recipe = recipe_of(folder, frames=5, network={"expert": name, **SHORT}, lora=LORA)
        _, trained = loaded(recipe)
        experts[name] = Part(written_run(recipe, trained, tmp_path / name))
    made = export_runs(experts, None, tmp_path / "out")
    assert (made.experts, made.strategy.selector.name) == (("high", "low"), "boundary")
    document = json.loads((tmp_path / "out/jvid_pipeline.json").read_text())
    assert set(document["experts"]["low"]["shared"]) >= {"vae", "text_encoder", "tokenizer"}
    base = diffusers.WanTransformer3DModel.from_pretrained(folder, subfolder="transformer_2")
    mine = diffusers.WanTransformer3DModel.from_pretrained(tmp_path / "out/low", subfolder="transformer")
    key = "blocks.0.attn1.to_q.weight"
    tensors = load_file(tmp_path / "low/final/model.safetensors")
    a, b = (tensors[f"network.blocks.0.attn1.to_q.lora_{each}.default.weight"] for each in "AB")
    torch.testing.assert_close(mine.state_dict()[key], base.state_dict()[key] + 1.5 * b @ a)


def test_weights_that_do_not_fit_are_named(tmp_path: Path, tmp_path_factory) -> None:
    folder = tmp_path / "sd"
    shutil.copytree(saved(tmp_path_factory, SD), folder)
    recipe = recipe_of(folder, lora=LORA)
    _, trained = loaded(recipe)
    run = written_run(recipe, trained, tmp_path / "run")
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "extra.weight": torch.zeros(3)}, file)
    with pytest.raises(
        InputError, match=r"1 of \d+ tensors in .*unet are not of its UNet2DConditionModel \(extra.weight\)"
    ):
        load_model(recipe)
    load_model(recipe_of(folder, lora=LORA, training={"unused": ["extra.*"]}))
    save_file({name: tensor for name, tensor in tensors.items() if name != "conv_in.bias"}, file)
    with pytest.raises(InputError, match=r"its weights lack conv_in.bias"):
        load_model(recipe)
    save_file({**tensors, "conv_in.bias": tensors["conv_in.bias"] + 1}, file)
    with pytest.raises(
        InputError, match=r"the adapters were trained beside other weights than those in .*unet: restore"
    ):
        read_published(run, "image")
