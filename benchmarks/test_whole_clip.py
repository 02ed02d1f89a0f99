"""A whole clip of the bundled ensemble: jvid against the loop that one writes around diffusers' own UNets.

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
from jvid.ensemble import Composition, Ensemble, compose
from jvid.postprocessors import TemporalSmoothing
from jvid.strategy.shorthand import guidance_of, noise_of
from jvid_models.ensembles.bundled import actions_64

PROMPT, SEED = "a person waving two hands", 3
MUST, AIM = 1.6, 2.2


def plain(ensemble: Ensemble) -> Callable[[], Tensor]:
    """The loop, over the ensemble's networks as diffusers computes them."""
    strategy = paper_strategy()
    composition = Composition(strategy, ensemble)
    plan = composition.plan()
    unets = {name: ensemble.denoiser(name).network.unet for name in ("video", "image")}
    bar = torch.tensor((1.0, *ensemble.schedule.alphas_cumprod), dtype=torch.float64)
    cond = ensemble.condition([PROMPT])
    text = torch.cat([cond["text"], cond["null"]["text"]])
    f = ensemble.shape[1]
    first = keyed_normal([SEED], ("initial",), ensemble.shape, torch.float64).float()
    z = [keyed_normal([SEED], (step.index, "z", "independent"), ensemble.shape) for step in plan.steps]
    gamma = {name: (noise_of(strategy, name) or (1.0, 0.0))[0] for name in unets}
    (smooth,) = composition.postprocessors
    assert isinstance(smooth, TemporalSmoothing)
    (scale,) = {guidance.scale for name in unets if (guidance := guidance_of(strategy, name))}
    T = ensemble.schedule.timesteps

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
    ensemble, stock = actions_64(), actions_64(fast=False)
    sampler, cond = compose(paper_strategy(), ensemble), ensemble.condition([PROMPT])
    loop = plain(stock)
    made: dict[str, Tensor] = {}

    def theirs() -> None:
        made["plain"] = loop()

    def ours() -> None:
        made["jvid"] = sampler(ensemble.shape, seeds=[SEED], cond=cond)

    with threads(count) as used:
        # Fifty steps are long enough to be their own warm-up.
        sides = {"plain": theirs, "jvid": ours}
        medians = benchmark.pedantic(interleaved, args=(sides,), kwargs={"warmup": 0}, rounds=1)
    error = float((made["jvid"] - made["plain"]).abs().max())
    assert error < 1e-3, error
    assert isinstance(sampler.experts["video"].denoiser, Guided)
    claim(
        benchmark, f"{medians['plain']:.2f} s", f"{medians['jvid']:.2f} s", medians["plain"] / medians["jvid"], MUST, AIM,
        figure=f"a whole clip, {used}", remarks=f"latents 4x16x8x8, 50 steps, largest error {error:.1e}",
    )  # fmt: skip
