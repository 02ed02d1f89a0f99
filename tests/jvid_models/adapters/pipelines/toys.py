"""A small pipeline of diffusers' kind whose loop can be wrong in one way at a time."""

from __future__ import annotations

import diffusers
import torch
from torch import nn


class ToyNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4, 4, 3, padding=1)
        self.calls, self.loud = 0, False

    def forward(self, x, t, text, weights=(1.0,)):
        self.calls += 1
        if self.loud:
            text = 2 * text
        return (self.mix(x) + text.view(-1, 1, 1, 1) + t / 1000) * weights[0]


class ToyDecoder(nn.Module):
    def decode(self, latents):
        return latents.repeat_interleave(8, -1).repeat_interleave(8, -2)[:, :3]


class ToyPipeline(diffusers.DiffusionPipeline):
    """``fault``: what the loop does wrong, or where it fails."""

    def __init__(self, network, vae, scheduler) -> None:
        super().__init__()
        self.register_modules(network=network, vae=vae, scheduler=scheduler)
        self.fault, self.encoded = None, 0

    def encode_prompt(self, prompts):
        self.encoded += 1
        return torch.tensor([float(sum(text.encode())) % 7 for text in prompts])

    def prepare_latents(self, b, side, generator):
        shape = (b, 4, side, side)
        return diffusers.utils.torch_utils.randn_tensor(shape, generator=generator)

    @torch.no_grad()
    def __call__(
        self, prompt=None, height=64, num_inference_steps=10, generator=None, output_type="pt", scale=1.0
    ):
        prompts = [prompt] if isinstance(prompt, str) else prompt
        text = self.encode_prompt(prompts) * scale
        self.scheduler.set_timesteps(num_inference_steps)
        latents = self.prepare_latents(len(prompts), height // 8, generator)
        if self.fault == "scales":
            latents = 2 * latents
        if self.fault == "adds":
            latents = latents + 1
        momentum = 0.0
        for i, t in enumerate(self.scheduler.timesteps):
            if self.fault == "switches":
                self.network.loud = i < len(self.scheduler.timesteps) // 2
            given = {"weights": [1.0 + i]} if self.fault == "weighs" else {}
            output = self.network(latents, t, text, **given)
            if self.fault == "fails":
                raise KeyboardInterrupt
            if self.fault == "noise":
                output = output + torch.randn(output.shape, generator=generator)
            if self.fault == "global noise":
                output = output + torch.randn(output.shape)
            if self.fault == "momentum":
                momentum = output = 0.5 * momentum + output
            if self.fault == "counts":
                output = output * (1 + i)
            if self.fault == "steps":
                output = output * num_inference_steps
            if self.fault == "never":
                continue
            latents = self.scheduler.step(output, t, latents).prev_sample
            if self.fault == "twice":
                latents = self.scheduler.step(output, t, latents).prev_sample
        if self.fault == "mixes":
            latents = latents + 0.5 * latents.roll(1, -1)
        if self.fault == "bends":
            latents = latents.abs()
        if self.fault == "pads":
            latents = latents[..., 1:]
        return (self.vae.decode(latents / 0.2 + 0.1),)


class GivenPipeline(diffusers.DiffusionPipeline):
    """One that takes its latents as an argument, rows of width first, and prepares them itself otherwise."""

    def __init__(self, network, vae, scheduler) -> None:
        super().__init__()
        self.register_modules(network=network, vae=vae, scheduler=scheduler)

    @torch.no_grad()
    def __call__(self, prompt=None, num_inference_steps=10, latents=None, generator=None, output_type="pt"):
        if latents is None:
            latents = torch.randn(1, 4, 8, 8, generator=generator)
        self.scheduler.set_timesteps(num_inference_steps)
        for t in self.scheduler.timesteps:
            output = self.network(latents, t, torch.tensor([float(len(prompt))]))
            latents = self.scheduler.step(output, t, latents).prev_sample
        return (self.vae.decode(latents.mT),)


def toy(fault=None, kind=ToyPipeline, **config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ToyNetwork().eval()
    scheduler = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing", **config)
    pipe = kind(network, ToyDecoder(), scheduler)
    pipe.fault = fault
    return pipe
