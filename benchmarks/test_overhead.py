"""A step's own cost beside the networks, against a loop around diffusers' ``DDPMScheduler`` that a user would write.

Both run 50 steps of DDPM on the same latents, on one thread, with networks that return one tensor and cost nothing.
Ours draws its plan within the time (and is measured with a plan handed in too), mixes a video and an image expert by
the paper's selector, scales the image expert's noise, checks each prediction and makes a state at each step.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.ratios import claim, interleaved, threads
from jvid import paper
from jvid.core.plan import Plan
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.parameterized import Parameterized
from jvid.grids import Leading
from jvid.noise import IndependentNoise, ScaledNoise
from jvid.solvers import DDPM

STEPS = 50


def plain(shape: tuple[int, ...], b: int) -> Callable[[], Tensor]:
    """The loop of diffusers' documentation, for a video network that predicts eps."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False
    )
    predicted = torch.full((b, *shape), 0.1)

    def net(x: Tensor, t: Tensor) -> Tensor:
        return predicted

    def run() -> Tensor:
        g = torch.Generator().manual_seed(0)
        scheduler.set_timesteps(STEPS)
        x = torch.randn(b, *shape, generator=g)
        with torch.no_grad():
            for t in scheduler.timesteps:
                eps = net(x, t)
                x = scheduler.step(eps, t, x, generator=g).prev_sample
        return x

    return run


def ours(shape: tuple[int, ...], b: int) -> tuple[Sampler, Callable[[Plan | None], Tensor]]:
    """The paper's mixture of two eps networks."""
    c, f, h, w = shape
    clip, frames = torch.full((b, *shape), 0.1), torch.full((b * f, c, 1, h, w), 0.1)
    schedule = paper.SCHEDULE()
    video = Parameterized(lambda x, t, cond: clip, schedule)
    image = Framewise(Parameterized(lambda x, t, cond: frames, schedule))
    sampler = Sampler(
        {"video": Expert(video), "image": Expert(image, ScaledNoise(IndependentNoise(), paper.GAMMA[64]))},
        paper.TABLE_6[64],
        DDPM(),
        Leading(STEPS),
    )
    seeds = list(range(b))

    def run(plan: Plan | None = None) -> Tensor:
        state = None
        for state in sampler.trace(shape, seeds=seeds, plan=plan):  # noqa: B007 the last one is wanted
            pass
        assert state is not None
        return state.x

    return sampler, run


@pytest.mark.parametrize("b", [1, 4])
@pytest.mark.parametrize("side", [8, 32])
def test_a_step_beside_the_networks(benchmark, side, b):
    shape = (4, 16, side, side)
    with threads(1) as used:
        loop = plain(shape, b)
        sampler, run = ours(shape, b)
        plan = sampler.plan(0)
        medians = benchmark.pedantic(
            interleaved,
            args=({"plain": loop, "ours": run, "plan handed in": lambda: run(plan)},),
            kwargs={"rounds": 40 if side == 8 else 15, "warmup": 3},
            rounds=1,
        )
    stock, full, handed = (1e6 * seconds / STEPS for seconds in medians.values())
    claim(
        benchmark, f"{stock:.0f} us", f"{full:.0f} us", full / stock, 1.0 if b == 1 else None, least=False,
        figure=f"a step beside the networks, {b}x4x16x{side}x{side}",
        remarks=f"{used}; {handed / stock:.2f} with the plan handed in",
    )  # fmt: skip
