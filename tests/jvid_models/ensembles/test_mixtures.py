"""Mixtures of pipelines that share a latent space, as published models do, to decoded frames."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

import jvid
from benchmarks.published import tiny
from jvid_models.ensembles.pipelines import pipeline_ensemble

FIRST = ("first-frame:others=video",)
PAIRS = {
    "an EDM and a table": ("StableVideoDiffusionPipeline", "StableDiffusionPipeline", {}, ()),
    "v with zero terminal SNR and eps": ("AnimateDiffPipeline", "StableDiffusionPipeline:2", {}, ()),
    "a clip and a picture": ("WanPipeline", "QwenImagePipeline", {}, FIRST),
    "flow that explodes": ("WanPipeline", "Cosmos2TextToImagePipeline", {}, FIRST),
    "text and a picture of the first frame": ("WanPipeline", "WanImageToVideoPipeline", {}, ()),
    "Wan and itself at one frame": ("WanPipeline", "WanPipeline", {"num_frames": 1}, FIRST),
    "Hunyuan and itself": ("HunyuanVideoPipeline", "HunyuanVideoPipeline", {"num_frames": 1}, FIRST),
    "LTX and itself": ("LTXPipeline", "LTXPipeline", {"num_frames": 1}, FIRST),
}


@cache
def built(name: str) -> tiny.Tiny:
    return tiny.build(name)


def ensemble(name: str, **options: Any) -> jvid.Ensemble:
    given = {k: v for k, v in built(name).arguments.items() if k not in ("prompt", "num_inference_steps")}
    inputs = {k: v for k, v in given.items() if not isinstance(v, str | int | float | bool | None)}
    return pipeline_ensemble(
        built(name).pipe, inputs=inputs, **({k: v for k, v in given.items() if k not in inputs} | options)
    )


@pytest.mark.parametrize("pair", [pytest.param(each, id=name) for name, each in PAIRS.items()])
def test_two_pipelines_of_one_space_make_a_clip(
    pair: tuple[str, str, dict[str, Any], tuple[str, ...]],
) -> None:
    video, other, options, wrappers = pair
    made = jvid.load("ensemble", video=ensemble(video), image=ensemble(other, **options))
    assert bool(made.frame_experts) == (other != "WanImageToVideoPipeline")

    def latents(selector: str) -> torch.Tensor:
        strategy = jvid.Strategy(
            selector, "ddim", "native", steps=2, experts={"image": jvid.ExpertStrategy(wrappers)}
        )
        composition = jvid.Composition(strategy, made)
        cond = composition.condition(["a fox in the snow"])
        return composition.sampler()(made.shape, seeds=[0], cond=cond)

    mixed, alone = latents("cycle:experts=video+image"), latents("always:name=video")
    assert torch.isfinite(mixed).all()
    assert (mixed - alone).abs().max() > 1e-4 * alone.abs().max()
    frames = made.codec.decode(mixed)
    assert frames.ndim == 5
    assert torch.isfinite(frames).all()
    assert frames.shape[2] == made.codec.decode(alone).shape[2] > 1
