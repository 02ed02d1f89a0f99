"""A whole clip of the bundled pair: jvid against the loop that one writes around diffusers' own UNets.

Both take one plan of the paper's form, noise, guidance and smoothing, 50 steps of DDPM. The loop asks a stock UNet about one
batch of two at each step, of frames folded into the batch where the image model predicts; its noise is drawn before it is timed.
The latents that the last round made are compared.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.paper_strategy import paper_strategy
from benchmarks.ratios import claim, interleaved, threads
from jvid import Guided
from jvid.core.keyed import keyed_normal
from jvid.postprocessors import TemporalSmoothing
from jvid_models.ensembles.folder import actions_64

PROMPT, SEED = "a person waving two hands", 3
MUST, AIM = 1.6, 2.2


def plain(pair: object) -> Callable[[], Tensor]:
    """The loop, over the pair's networks as diffusers computes them."""
    strategy = paper_strategy()
    plan = strategy.plan(pair.schedule)
    unets = {name: getattr(pair, name).network.unet for name in ("video", "image")}
    bar = torch.tensor((1.0, *pair.schedule.alphas_cumprod), dtype=torch.float64)
    cond = pair.text_encoder([PROMPT])
    text = torch.cat([cond["text"], cond["null"]["text"]])
    f = pair.shape[1]
    first = keyed_normal([SEED], ("initial",), pair.shape, torch.float64).float()
    z = [keyed_normal([SEED], (step.index, "z", "independent"), pair.shape) for step in plan.steps]
    gamma = {name: strategy.noise[name].gamma if name in strategy.noise else 1.0 for name in unets}
    (smooth,) = strategy.sampler(pair).postprocessors
    assert isinstance(smooth, TemporalSmoothing)
    scale, T = float(strategy.guidance), pair.schedule.timesteps

    def run() -> Tensor:
        x = first
        with torch.no_grad():
            for step, noise in zip(plan.steps, z, strict=True):
                n, m = round(step.start.t * T), round(step.end.t * T)
                name = step.expert
                timestep = torch.tensor(float(n - 1))
                if name == "video":
                    eps = unets[name](torch.cat([x, x]), timestep, text, return_dict=False)[0]
                else:
                    frames = torch.cat([x, x]).transpose(1, 2).flatten(0, 1)
                    eps = unets[name](frames, timestep, text.repeat_interleave(f, 0), return_dict=False)[0]
                    eps = eps.unflatten(0, (2, f)).transpose(1, 2)
                one, null = eps.chunk(2)
                eps = null + scale * (one - null)
                # Equation (5): the mean through x_0, and the small variance.
                a, b = bar[n], bar[m]
                beta = 1.0 - a / b
                x_0 = (x - (1.0 - a).sqrt().float() * eps) / a.sqrt().float()
                mean = (b.sqrt() * beta / (1.0 - a)).float() * x_0 + (
                    (a / b).sqrt() * (1.0 - b) / (1.0 - a)
                ).float() * x
                x = mean + gamma[name] * (beta * (1.0 - b) / (1.0 - a)).sqrt().float() * noise
        return smooth(x)

    return run


@pytest.mark.parametrize("count", [1, 2])
def test_a_whole_clip(benchmark, count):
    pair, stock = actions_64(), actions_64(fast=False)
    sampler, cond = paper_strategy().sampler(pair), pair.text_encoder([PROMPT])
    loop = plain(stock)
    made: dict[str, Tensor] = {}

    def theirs() -> None:
        made["plain"] = loop()

    def ours() -> None:
        made["jvid"] = sampler(pair.shape, seeds=[SEED], cond=cond)

    with threads(count) as told:
        # Fifty steps are long enough to be their own warm-up.
        sides = {"plain": theirs, "jvid": ours}
        medians = benchmark.pedantic(interleaved, args=(sides,), kwargs={"warmup": 0}, rounds=1)
    error = float((made["jvid"] - made["plain"]).abs().max())
    assert error < 1e-3, error
    assert isinstance(sampler.experts["video"].denoiser, Guided)
    claim(
        benchmark, f"{medians['plain']:.2f} s", f"{medians['jvid']:.2f} s", medians["plain"] / medians["jvid"], MUST, AIM,
        figure=f"a whole clip, {told}", remarks=f"latents 4x16x8x8, 50 steps, largest error {error:.1e}",
    )  # fmt: skip
