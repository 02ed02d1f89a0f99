"""Parts of a user's pipeline that are replaced behind its ensemble: seen by the next call, or refused in a line."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import jvid
from jvid.errors import InputError
from jvid_models.ensembles.pipelines import pipeline_ensemble
from tests.jvid_models.ensembles.native import PROMPT, QWEN, TWO, WAN, built, is_native, noise, off, predicted

IMAGE, CLIPS = "StableDiffusionPipeline", "TextToVideoSDPipeline"
NETWORKS = [
    (IMAGE, "unet"),
    (CLIPS, "unet"),
    (WAN, "transformer"),
    (QWEN, "transformer"),
    (TWO, "transformer"),
]


def other(part: Any) -> Any:
    """Another object of its class, with other weights if it has some."""
    found = copy.deepcopy(part)
    for weight in found.parameters() if isinstance(found, torch.nn.Module) else ():
        weight.data.mul_(1.5)
    return found


@pytest.mark.parametrize(("name", "part"), [*NETWORKS, *((name, "scheduler") for name, _ in NETWORKS)])
def test_a_network_or_a_scheduler_that_is_replaced_is_refused(name: str, part: str) -> None:
    pipe, arguments = built(name)
    made = pipeline_ensemble(pipe, **arguments)
    x, first = noise(made), getattr(pipe, part)
    before = predicted(made, [PROMPT], x)
    setattr(pipe, part, other(first))
    kind = type(first).__name__
    line = rf"^{type(pipe).__name__} has another {part} than its ensemble was made with \(now a {kind}\): make the"
    with pytest.raises(InputError, match=line) as caught:
        predicted(made, [PROMPT], x)
    assert "\n" not in str(caught.value)
    setattr(pipe, part, first)
    assert torch.equal(predicted(made, [PROMPT], x), before)


@pytest.mark.parametrize("native", [True, False])
def test_the_second_of_two_transformers_is_refused_for_its_expert(native: bool) -> None:
    pipe, arguments = built(TWO)
    made = pipeline_ensemble(pipe, native=native, **arguments)
    x, cond, t = noise(made), made.condition([PROMPT]), torch.tensor(0.5, dtype=torch.float64)
    pipe.transformer_2 = other(pipe.transformer_2)
    made.denoiser("high")(x, t, jvid.core.conditions.for_expert(cond, "high"))
    with pytest.raises(InputError, match="has another transformer_2 than its ensemble was made with"):
        made.denoiser("low")(x, t, jvid.core.conditions.for_expert(cond, "low"))


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", [IMAGE, CLIPS, WAN, QWEN, TWO])
def test_a_text_encoder_that_is_replaced_is_seen(name: str, native: bool) -> None:
    pipe, arguments = built(name)
    made = pipeline_ensemble(pipe, native=native, **arguments)
    x = noise(made)
    before = predicted(made, [PROMPT], x)
    pipe.text_encoder = other(pipe.text_encoder)
    after = predicted(made, [PROMPT], x)
    assert off(after, before) > 1e-5
    again = pipeline_ensemble(pipe, native=native, **arguments)
    assert torch.equal(after, predicted(again, [PROMPT], x))


@pytest.mark.parametrize("name", [IMAGE, WAN, QWEN, TWO])
def test_an_autoencoder_that_is_replaced_decodes(name: str) -> None:
    pipe, arguments = built(name)
    made = pipeline_ensemble(pipe, **arguments)
    x = noise(made)
    before: Tensor = made.codec.decode(x)
    pipe.vae = other(pipe.vae)
    after = made.codec.decode(x)
    assert off(after, before) > 1e-4
    assert torch.equal(after, pipeline_ensemble(pipe, **arguments).codec.decode(x))


@pytest.mark.parametrize("name", [IMAGE, WAN])
def test_a_text_encoder_may_go_when_its_prompts_are_encoded(name: str) -> None:
    pipe, arguments = built(name)
    made = pipeline_ensemble(pipe, **arguments)
    x, cond, t = noise(made), made.condition([PROMPT]), torch.tensor(0.5, dtype=torch.float64)
    before = made.denoiser(made.experts[0])(x, t, cond)
    pipe.text_encoder = None
    assert torch.equal(made.denoiser(made.experts[0])(x, t, cond), before)


def test_a_unet_of_another_class_is_evaluated_by_its_pipelines_own_call() -> None:
    pipe, arguments = built(IMAGE)
    native = pipeline_ensemble(pipe, **arguments)
    before = predicted(native, [PROMPT], x := noise(native))
    pipe.unet.__class__ = type("Compiled", (type(pipe.unet),), {})
    made = pipeline_ensemble(pipe, **arguments)
    assert not is_native(made)
    assert off(predicted(made, [PROMPT], x), before) < 1e-5
