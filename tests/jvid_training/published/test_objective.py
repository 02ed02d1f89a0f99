"""The loss of a published network against a plain loop of diffusers' own noise, velocities, weights and calls of the network."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.training_utils import compute_loss_weighting_for_sd3, compute_snr
from torch import Tensor

from jvid_training.data.prompts import draw_prompt
from jvid_training.data.streams import generator
from tests.jvid_training.published.models import (
    BATCH,
    CAPTIONS,
    SEED,
    STEP,
    batch_of,
    gradients,
    loaded,
    recipe_of,
    saved,
)

SD, SD2, SDXL = "StableDiffusionPipeline", "StableDiffusionPipeline:2", "StableDiffusionXLPipeline"
CLIPS, ANIMATE = "TextToVideoSDPipeline", "AnimateDiffPipeline"
WAN, TWO, SD3, FLUX = "WanPipeline", "WanPipeline:2.2", "StableDiffusion3Pipeline", "FluxPipeline"
FRAMES = {CLIPS: 3, ANIMATE: 3, WAN: 5, TWO: 5}


def unet(pipe: Any, x: Tensor, n: Tensor, prompt: str) -> Tensor:
    text = pipe.encode_prompt(prompt, "cpu", 1, False)[0]
    if "Motion" in type(pipe.unet).__name__:
        text = text.repeat_interleave(x.shape[2], 0)
    return pipe.unet(x, n, text).sample


def sdxl(pipe: Any, x: Tensor, n: Tensor, prompt: str) -> Tensor:
    text, _, pooled, _ = pipe.encode_prompt(prompt, device="cpu", do_classifier_free_guidance=False)
    sizes = torch.tensor([[64.0, 64.0, 0.0, 0.0, 64.0, 64.0]])
    return pipe.unet(x, n, text, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}).sample


def wan(pipe: Any, x: Tensor, n: Tensor, prompt: str) -> Tensor:
    text, _ = pipe.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=32)
    return pipe.transformer(x, n.floor()[None], text, return_dict=False)[0]


def sd3(pipe: Any, x: Tensor, n: Tensor, prompt: str) -> Tensor:
    text, _, pooled, _ = pipe.encode_prompt(
        prompt, None, None, do_classifier_free_guidance=False, max_sequence_length=32
    )
    return pipe.transformer(x, text, pooled, n[None]).sample


def flux(pipe: Any, x: Tensor, n: Tensor, prompt: str) -> Tensor:
    text, pooled, text_ids = pipe.encode_prompt(prompt, None, max_sequence_length=32)
    b, c, h, w = x.shape
    ids = pipe._prepare_latent_image_ids(b, h // 2, w // 2, "cpu", x.dtype)
    tokens = pipe._pack_latents(x, b, c, h, w)
    scale = torch.full((1,), 3.5) if pipe.transformer.config.guidance_embeds else None
    out = pipe.transformer(tokens, text, pooled, n[None] / 1000, ids, text_ids, scale, return_dict=False)[0]
    return pipe._unpack_latents(out, 64, 64, 8)


CALLS = {
    SD: unet,
    SD2: unet,
    SDXL: sdxl,
    CLIPS: unet,
    ANIMATE: unet,
    WAN: wan,
    TWO: wan,
    SD3: sd3,
    FLUX: flux,
}


def plain_loss(pipe: Any, call: Any, recipe: Any, windows: Any) -> Tensor:
    """The mean over the samples, each computed as a script of diffusers does."""
    losses = []
    scheduler = pipe.scheduler
    flows = isinstance(scheduler, diffusers.FlowMatchEulerDiscreteScheduler) or scheduler.config.get(
        "use_flow_sigmas"
    )
    for place in range(BATCH):
        random = generator(SEED, STEP, place)
        window = windows.draw(random)
        frame = int(random.integers(windows.length)) if recipe.kind == "image" else None
        x_0 = 2.0 * windows.latents(window, frame) + 0.25
        x_0 = x_0[None, :, 0] if recipe.kind == "image" else x_0[None]
        shift = float(generator(SEED, STEP, 1 << 40).random())
        u = (shift + (place + float(random.random())) / BATCH) % 1.0
        eps = torch.from_numpy(
            random.standard_normal(tuple(windows.latents(window, frame).shape), np.float32)
        )
        eps = eps.reshape(x_0.shape)
        prompt = draw_prompt("run", recipe.data, recipe.training.drop, random, CAPTIONS)
        weight = torch.ones(())
        if flows:
            s = float(scheduler.config.get("flow_shift") or scheduler.config.get("shift") or 1.0)
            s = 1.0 if scheduler.config.get("use_dynamic_shifting") else s
            sigma = torch.tensor(s * u / (1 + (s - 1) * u))
            x, target, n = (1 - sigma) * x_0 + sigma * eps, eps - x_0, 1000 * sigma
            if recipe.noise.weighting != "none":
                weight = compute_loss_weighting_for_sd3(recipe.noise.weighting.replace("-", "_"), sigma)
        else:
            n = torch.tensor(int(u * 1000))
            scheduler = diffusers.DDPMScheduler.from_config(scheduler.config)
            x = scheduler.add_noise(x_0, eps, n[None])
            v = scheduler.config.prediction_type == "v_prediction"
            target = scheduler.get_velocity(x_0, eps, n[None]) if v else eps
            if recipe.noise.weighting == "min-snr":
                snr = compute_snr(scheduler, n[None])
                weight = torch.minimum(snr, torch.tensor(5.0)) / (snr + 1 if v else snr)
        losses.append(weight * (call(pipe, x, n, prompt) - target).square().mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        (SD, {"noise": {"weighting": "min-snr"}, "training": {"drop": 0.5, "offset": 0.0}}),
        (SD, {"lora": {"rank": 2, "alpha": 3.0}}),
        (SD2, {"noise": {"weighting": "min-snr"}}),
        (SDXL, {}),
        (SDXL, {"lora": {"rank": 2}}),
        (CLIPS, {}),
        (CLIPS, {"lora": {"rank": 2}}),
        (ANIMATE, {}),
        (WAN, {"noise": {"weighting": "cosmap"}}),
        (TWO, {"lora": {"rank": 2}, "network": {"expert": "low"}}),
        (SD3, {"noise": {"weighting": "sigma-sqrt"}}),
        (FLUX, {}),
        (FLUX, {"lora": {"rank": 2}}),
    ],
)
def test_loss_and_gradients_are_those_of_a_plain_loop(name, sections, tmp_path_factory) -> None:
    sections = {key: dict(value) for key, value in sections.items()}
    if (
        "max_sequence_length"
        in inspect.signature(getattr(diffusers, name.partition(":")[0]).__call__).parameters
    ):
        sections["network"] = {**sections.get("network", {}), "options": {"max_sequence_length": 32}}
    recipe = recipe_of(saved(tmp_path_factory, name), frames=FRAMES.get(name, 1), **sections)
    model, network = loaded(recipe)
    batch, objective, windows = batch_of(recipe, model)
    loss = objective.loss(network, batch).mean()
    loss.backward()
    found = dict(gradients(network))
    expected = plain_loss(model.denoiser.pipe, CALLS[name], recipe, windows)
    expected.backward()
    loss, expected = loss.detach(), expected.detach()
    torch.testing.assert_close(loss, expected, rtol=2e-5, atol=0)
    wanted = dict(gradients(network))
    assert found.keys() == wanted.keys()
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    assert largest > 0
    for key, gradient in wanted.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-3, atol=1e-5 * largest)
    if recipe.lora is not None:
        assert all("lora_" in key for key in found)
