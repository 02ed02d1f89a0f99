"""What the tests of jvid's own adapters of transformers have in common: tiny pipelines and their runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import attrs
import torch
from torch import Tensor

import jvid
from benchmarks.published import tiny
from jvid.core.conditions import for_expert
from jvid_models.ensembles.pipelines import pipeline_ensemble

STEPS, PROMPT = 3, "a red cat"
WAN, TWO, FIVE, QWEN = "WanPipeline", "WanPipeline:2.2", "WanPipeline:5b", "QwenImagePipeline"
ALL = [WAN, TWO, FIVE, QWEN]
HALF = torch.tensor(0.5, dtype=torch.float64)


def built(name: str) -> tuple[Any, dict[str, Any]]:
    made = tiny.build(name)
    return made.pipe, {k: v for k, v in made.arguments.items() if k not in ("prompt", "num_inference_steps")}


@cache
def ensemble(name: str, native: bool = True) -> jvid.Ensemble:
    pipe, arguments = built(name)
    return pipeline_ensemble(pipe, native=native, **arguments)


def is_native(made: jvid.Ensemble) -> bool:
    kinds = {type(made.denoiser(name)).__name__ for name in made.experts}
    assert len(kinds) == 1
    return kinds == {"Parameterized"}


def noise(made: jvid.Ensemble, b: int = 1) -> Tensor:
    return torch.randn((b, *made.shape), generator=torch.Generator().manual_seed(5))


def sampled(made: jvid.Ensemble, x: Tensor, prompts: list[str], **changes: Any) -> Tensor:
    strategy = attrs.evolve(made.strategy, **{"steps": STEPS, **changes})
    composition = jvid.Composition(strategy, made)
    return composition.sampler()(made.shape, seeds=range(len(x)), x=x, cond=composition.condition(prompts))


def stock(pipe: Any, x: Tensor, prompt: Any = PROMPT, **arguments: Any) -> Tensor:
    """What the pipeline itself makes of the same noise."""
    b, c, _, h, w = x.shape
    packs = type(pipe).__name__ == QWEN
    latents = pipe._pack_latents(x[:, :, 0], b, c, h, w) if packs else x
    call = {"num_inference_steps": STEPS, "latents": latents.clone(), "output_type": "latent", **arguments}
    made = pipe(prompt, **call)[0]
    return pipe._unpack_latents(made, 8 * h, 8 * w, 8) if packs else made


@torch.no_grad()
def predicted(made: jvid.Ensemble, prompts: list[str], x: Tensor, t: Tensor = HALF) -> Tensor:
    """Of the first expert, guided as its ensemble has it."""
    name = made.experts[0]
    wrappers = made.member(name).wrappers
    denoiser = made.denoiser(name)
    guided = jvid.Guided(denoiser, wrappers[0].options["scale"]) if wrappers else denoiser
    return guided(x, t, for_expert(made.condition(prompts), name))


def off(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())
