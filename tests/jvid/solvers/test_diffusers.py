"""The solvers of several stages or steps equal diffusers' schedulers on their own grids, in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from jvid.core.protocols import Level, Step
from jvid.schedules import TabulatedSchedule
from jvid.solvers import DPMPP2M, DPMPP2MSDE, PNDM, Euler, EulerAncestral, Heun, UniPC
from jvid.testing import TwoModeOracle

F64 = torch.float64
VP = TabulatedSchedule.scaled_linear()
BETAS = (torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=F64) ** 2).numpy()
ORACLE = TwoModeOracle(VP)
SHAPE = (2, 4, 3, 4, 4)


def randn(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=F64)


def level(n):
    """The level of diffusers' timestep n; -1 is clean."""
    alpha, sigma = VP(torch.tensor((n + 1) / 1000, dtype=F64))
    return Level((n + 1) / 1000, float(alpha), float(sigma))


def at_ratio(sigma):
    """The level where sigma / alpha is given, in the variance-preserving scale."""
    scale = (1 + sigma * sigma) ** 0.5
    t = float(VP.time_at(torch.atan2(torch.tensor(sigma, dtype=F64), torch.tensor(1.0, dtype=F64))))
    return Level(t, 1 / scale, sigma / scale)


class Double:
    """torch, to a scheduler's module, with float64 where it asks for float32: samples are cast to it in each step."""

    def __getattr__(self, name):
        return torch.float64 if name == "float32" else getattr(torch, name)


@pytest.fixture(autouse=True)
def _double_in_diffusers(monkeypatch):
    for name in ("dpmsolver_multistep", "unipc_multistep", "euler_discrete", "euler_ancestral_discrete"):
        monkeypatch.setattr(f"diffusers.schedulers.scheduling_{name}.torch", Double())


def ours(solver, levels, x, noises=None, stop=None):
    def denoise(x_t, where):
        return ORACLE(x_t, torch.tensor(where.t, dtype=F64), {})

    memory = solver.init()
    for i, (start, end) in list(enumerate(pairwise(levels)))[:stop]:
        step = Step(i, len(levels) - 1, start, end, {"a": 1.0}, schedule=VP)
        x, memory = solver.step(x, step, denoise, lambda key, i=i: noises[i], memory)
    return x


def eps_at(x, t):
    """The oracle's eps at a diffusers timestep."""
    where = VP(torch.tensor((float(t) + 1) / 1000, dtype=F64))
    x_0 = ORACLE(x, torch.tensor((float(t) + 1) / 1000, dtype=F64), {})
    return (x - where[0] * x_0) / where[1]


def in_double(scheduler):
    """Its tables in float64 from float64 betas; diffusers computes them in float32."""
    bar = torch.from_numpy(np.cumprod(1.0 - BETAS))
    scheduler.alphas_cumprod = bar
    for name, values in (
        ("alpha_t", bar.sqrt()),
        ("sigma_t", (1 - bar).sqrt()),
        ("lambda_t", bar.sqrt().log() - (1 - bar).sqrt().log()),
    ):
        if hasattr(scheduler, name):
            setattr(scheduler, name, values)
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=F64)
    return scheduler


def ratios(timesteps):
    """sigma / alpha of diffusers at these timesteps, the clean end behind, in float64."""
    bar = np.cumprod(1.0 - BETAS)[np.asarray(timesteps, dtype=int)]
    return torch.from_numpy(np.append(((1 - bar) / bar) ** 0.5, 0.0))


@pytest.mark.parametrize("start", ["plms", "runge-kutta"])
@pytest.mark.parametrize("steps", [10, 25])
def test_pndm(start, steps):
    scheduler = in_double(
        PNDMScheduler(
            trained_betas=BETAS, skip_prk_steps=start == "plms", set_alpha_to_one=True, steps_offset=1
        )
    )
    scheduler.set_timesteps(steps)
    x = expected = randn(0)
    calls = 0
    for t in scheduler.timesteps:
        expected = scheduler.step(eps_at(expected, int(t)), int(t), expected).prev_sample
        calls += 1
    stride = 1000 // steps
    grid = [1 + i * stride for i in reversed(range(steps))]
    solver = PNDM(start)
    levels = [*map(level, grid), level(-1)]
    torch.testing.assert_close(ours(solver, levels, x), expected, atol=1e-10, rtol=0)
    plan = [Step(i, steps, a, b) for i, (a, b) in enumerate(pairwise(levels))]
    assert sum(map(solver.evaluations, plan)) == calls == (steps + 1 if start == "plms" else steps + 9)


@pytest.mark.parametrize("form", ["midpoint", "heun"])
@pytest.mark.parametrize("stochastic", [False, True])
def test_dpmpp(form, stochastic):
    algorithm = "sde-dpmsolver++" if stochastic else "dpmsolver++"
    scheduler = in_double(
        DPMSolverMultistepScheduler(
            trained_betas=BETAS, algorithm_type=algorithm, solver_type=form, solver_order=2, final_sigmas_type="zero",
            lower_order_final=False,
        )
    )  # fmt: skip
    scheduler.set_timesteps(12)
    scheduler.sigmas = ratios(scheduler.timesteps)
    x = expected = randn(1)
    noises = [randn(10 + i) for i in range(12)]
    for i, t in enumerate(scheduler.timesteps):
        expected = scheduler.step(eps_at(expected, int(t)), t, expected, variance_noise=noises[i]).prev_sample
    solver = DPMPP2MSDE(form=form) if stochastic else DPMPP2M(form)
    levels = [*map(level, scheduler.timesteps.tolist()), level(-1)]
    torch.testing.assert_close(ours(solver, levels, x, noises), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("final", [True, False])
def test_unipc(variant, order, final):
    scheduler = in_double(
        UniPCMultistepScheduler(
            trained_betas=BETAS,
            solver_order=order,
            solver_type=variant,
            final_sigmas_type="zero",
            lower_order_final=final,
        )
    )
    scheduler.set_timesteps(12)
    scheduler.sigmas = ratios(scheduler.timesteps)
    x = expected = randn(2)
    # diffusers divides infinities on a last step to sigma 0, except where bh2 makes it of first order
    stop = 12 if variant == "bh2" and final else 11
    for t in scheduler.timesteps[:stop]:
        expected = scheduler.step(eps_at(expected, int(t)), t, expected).prev_sample
    levels = [*map(level, scheduler.timesteps.tolist()), level(-1)]
    actual = ours(UniPC(order, variant, final), levels, x, stop=stop)
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", ["euler", "ancestral", "heun"])
def test_euler_its_ancestral_form_and_heun(kind):
    make = {
        "euler": EulerDiscreteScheduler,
        "ancestral": EulerAncestralDiscreteScheduler,
        "heun": HeunDiscreteScheduler,
    }[kind]
    scheduler = in_double(make(trained_betas=BETAS))
    scheduler.set_timesteps(11)
    timesteps = np.linspace(0, 999, 11).round()[::-1]
    sigmas = ratios(timesteps)
    noises = [randn(30 + i) for i in range(11)]
    x = randn(3) * sigmas[0]
    expected = x
    # The schedulers keep tables in float32; the same formulas on tables in float64.
    if kind == "heun":
        scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
        scheduler.timesteps = torch.from_numpy(np.concatenate([timesteps[:1], timesteps[1:].repeat(2)]))
    else:
        scheduler.sigmas, scheduler.timesteps = sigmas, torch.from_numpy(timesteps.copy())
    import diffusers.schedulers.scheduling_euler_ancestral_discrete as ancestral

    left = iter(noises)
    original = ancestral.randn_tensor
    ancestral.randn_tensor = lambda *_, **__: next(left)
    try:
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(expected, t)
            expected = scheduler.step(eps_at(scaled, float(t)), t, expected).prev_sample
    finally:
        ancestral.randn_tensor = original
    levels = [*(at_ratio(float(sigma)) for sigma in sigmas[:-1]), level(-1)]
    solver = {"euler": Euler(), "ancestral": EulerAncestral(), "heun": Heun()}[kind]
    start = x / (1 + sigmas[0] ** 2) ** 0.5  # diffusers' latents have alpha 1
    torch.testing.assert_close(ours(solver, levels, start, noises), expected, atol=1e-9, rtol=0)
