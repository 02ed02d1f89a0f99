"""Small pipelines and ensembles of them as `JVIDPipeline`s, and their own runs to compare with."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import torch
from torch import Tensor

import jvid
from benchmarks.published import tiny
from jvid_models import JVIDPipeline

STEPS = 3


PROMPT = "a red cat"


IMAGE, VIDEO, WAN, TWO, SVD = (
    "StableDiffusionPipeline", "TextToVideoSDPipeline", "WanPipeline", "WanPipeline:2.2", "StableVideoDiffusionPipeline"
)  # fmt: skip


TURNS = jvid.Strategy("cycle:experts=video+image", "ddim", "native", steps=2)


@cache
def built(name: str) -> tuple[Any, dict[str, Any]]:
    made = tiny.build(name)
    return made.pipe, {k: v for k, v in made.arguments.items() if k not in ("prompt", "num_inference_steps")}


@cache
def alone(name: str) -> JVIDPipeline:
    pipe, arguments = built(name)
    return quiet(JVIDPipeline(pipe, **arguments))


@cache
def pair() -> JVIDPipeline:
    given = {name: built(of)[1] for name, of in (("video", VIDEO), ("image", IMAGE))}
    return quiet(JVIDPipeline({"video": built(VIDEO)[0], "image": built(IMAGE)[0]}, TURNS, options=given))


def quiet(pipe: JVIDPipeline) -> JVIDPipeline:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seeded(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents_of(pipe: JVIDPipeline, seed: int = 7, **arguments: Any) -> Tensor:
    given = {"num_inference_steps": STEPS, "generator": seeded(seed), "output_type": "latent", **arguments}
    found: Tensor = pipe(PROMPT, **given).frames
    return found


def own_run(name: str, **arguments: Any) -> Tensor:
    pipe, own = built(name)
    given = {"prompt": PROMPT, "num_inference_steps": STEPS, "generator": seeded(), "output_type": "latent"}
    taken = inspect.signature(type(pipe).__call__).parameters
    made: Tensor = pipe(**{key: each for key, each in {**given, **own, **arguments}.items() if key in taken})[
        0
    ]
    if name == SVD:  # frames before channels
        made = made.movedim(1, 2)
    return made if made.ndim == 5 else made[:, :, None]


def off(one: Any, other: Any) -> float:
    return float(
        (torch.as_tensor(one) - torch.as_tensor(other)).abs().max() / torch.as_tensor(other).abs().max()
    )
