"""Pipelines with conditions of their own as experts: pictures and clips in Python, by files and again."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import jvid
from benchmarks.published import tiny
from benchmarks.published.comparison import compare, prepared_run, with_first_order
from jvid.cli import main
from jvid.ensemble.inputs import InputFile
from jvid.ensemble.source import Source
from jvid.errors import InputError
from jvid.media import read_metadata
from jvid_models.adapters.pipelines import load

STEPS = 3
PROMPT = "a red cat"
WAN, I2V, SVD = "WanPipeline", "WanImageToVideoPipeline", "StableVideoDiffusionPipeline"


@pytest.fixture(autouse=True)
def _compared(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (WAN, I2V, SVD, "WanVideoToVideoPipeline", "StableDiffusionControlNetPipeline")
    monkeypatch.setattr(load, "COMPARED", frozenset(names))


def noisy_picture(seed: int, width: int = 48, height: int = 32) -> Image.Image:
    draws = np.random.default_rng(seed)
    return Image.fromarray(draws.integers(0, 255, (height, width, 3), dtype=np.uint8))


@cache
def built(name: str) -> tuple[Any, dict[str, Any]]:
    """A tiny pipeline and its options, without what a run brings and without its picture."""
    made = tiny.build(name)
    with_first_order(made.pipe)
    own = ("prompt", "num_inference_steps", "image")
    return made.pipe, {k: v for k, v in made.arguments.items() if k not in own}


@cache
def video_to_video() -> tuple[Any, dict[str, Any]]:
    pipe, options = built(WAN)
    parts = {name: part for name, part in pipe.components.items() if not name.startswith("transformer_")}
    cls = diffusers.WanVideoToVideoPipeline
    tiny.keep_ascii(importlib.import_module(cls.__module__))
    kept = {k: v for k, v in options.items() if k != "num_frames"}
    return cls(**parts), kept | {"strength": 0.7}


def noise(made: jvid.Ensemble) -> Tensor:
    return torch.randn((1, *made.shape), generator=torch.Generator().manual_seed(5))


def sampled(made: jvid.Ensemble, **run: Any) -> Tensor:
    composition = jvid.Composition(attrs.evolve(made.strategy, steps=STEPS), made)
    return composition.sampler()(made.shape, seeds=[0], cond=composition.condition([PROMPT]), **run)


def off(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("name", ["WanImageToVideoPipeline", "CogVideoXImageToVideoPipeline"])
def test_a_picture_is_a_condition_as_in_the_pipelines_own_run(name: str) -> None:
    """Others (Wan 5B, LTX, Stable Video Diffusion) are in the tests of equality."""
    run = prepared_run(name)
    found = compare(run)
    assert found.error < 1e-5
    assert found.shifted > 1e-3


def test_inputs_by_expert_change_that_expert(tmp_path: Path) -> None:
    pipe, options = built(I2V)
    one, other = noisy_picture(0), noisy_picture(1)
    one.save(tmp_path / "one.png")
    x = None
    results = []
    for picture in (one, other, tmp_path / "one.png"):
        lone = jvid.load("ensemble", "pipeline", pipe=pipe, inputs={"image": picture}, **options)
        made = jvid.load("ensemble", video=lone)
        x = noise(made) if x is None else x
        results.append(sampled(attrs_with_strategy(made, lone), x=x))
    assert off(results[0], results[1]) > 1e-3
    assert torch.equal(results[0], results[2])


def attrs_with_strategy(made: jvid.Ensemble, of: jvid.Ensemble) -> jvid.Ensemble:
    made.strategy = of.strategy
    return made
