"""DDPM and DDIM: equality with diffusers, closed forms, the ends of a schedule, steps back up."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from jvid.core.levels import level_at
from jvid.core.protocols import Level, Step
from jvid.errors import InputError
from jvid.grids import Explicit, Leading, Linspace
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.solvers import DDIM, DDPM
from jvid.solvers.kernel import coefficients
from jvid.testing import GaussianOracle, TwoModeOracle
from jvid.testing.solving import path

F64 = torch.float64
VP = TabulatedSchedule.scaled_linear()
ZERO = VP.zero_terminal_snr()
VE = VarianceExploding(0.01, 20.0)
FLOW = FlowMatching(shift=3.0)
SOLVERS = [DDPM(), DDIM(0.0), DDIM(0.5), DDIM(1.0)]
SCHEDULES = [VP, ZERO, VE, FLOW]


def randn(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def steps_of(schedule, grid):
    return path(schedule, grid())


def denoise_with(denoiser):
    return lambda x, level: denoiser(x, torch.tensor(level.t, dtype=F64), {})


def no_noise(key):
    raise AssertionError(f"noise {key!r} was drawn")


def run(solver, denoiser, x, steps, noises=None):
    memory = solver.init()
    for step in steps:
        noise = no_noise if noises is None else lambda key, step=step: noises[step.index]
        x, memory = solver.step(x, step, denoise_with(denoiser), noise, memory)
    return x


# Equality with diffusers


def in_double(scheduler):
    """The same scheduler with its tables in float64."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=F64) ** 2
    scheduler.betas, scheduler.alphas = betas, 1 - betas
    scheduler.alphas_cumprod = (1 - betas).cumprod(0)
    scheduler.one = torch.tensor(1.0, dtype=F64)
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=F64)
    return scheduler


CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}


def eps_model(x, t):
    """Some nonlinear prediction of eps; t in [0, 1]."""
    return torch.tanh(x + t) + 0.1 * x.flip(-1)


def x0_model(x, t, cond):
    alpha, sigma = VP(t)
    return (x - sigma * eps_model(x, t)) / alpha


@pytest.mark.parametrize("steps", [50, 20, 1000])
def test_ddpm_equals_that_of_diffusers(steps, monkeypatch):
    from diffusers import DDPMScheduler
    from diffusers.schedulers import scheduling_ddpm

    scheduler = in_double(DDPMScheduler(**CONFIG, variance_type="fixed_small"))
    scheduler.set_timesteps(steps)
    z = iter(randn(steps, 2, 4, 3, 4, 4, seed=1))
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *args, **kwargs: next(z))
    theirs = start = randn(2, 4, 3, 4, 4)
    for n in scheduler.timesteps:
        theirs = scheduler.step(eps_model(theirs, (n.double() + 1) / 1000), n, theirs).prev_sample
    ours = run(DDPM(), x0_model, start, steps_of(VP, Leading(steps)), randn(steps, 2, 4, 3, 4, 4, seed=1))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert theirs.abs().max() > 0.1


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("offset", [0, 1])
def test_ddim_equals_that_of_diffusers(eta, offset):
    from diffusers import DDIMScheduler

    scheduler = in_double(DDIMScheduler(**CONFIG, set_alpha_to_one=True, steps_offset=offset))
    scheduler.set_timesteps(50)
    z = randn(50, 2, 4, 3, 4, 4, seed=1)
    theirs = start = randn(2, 4, 3, 4, 4)
    for i, n in enumerate(scheduler.timesteps):
        eps = eps_model(theirs, (n.double() + 1) / 1000)
        theirs = scheduler.step(eps, n, theirs, eta=eta, variance_noise=z[i]).prev_sample
    ours = run(DDIM(eta), x0_model, start, steps_of(VP, Leading(50, offset=offset)), z)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


# Closed forms


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ddim_follows_the_ode_at_first_order(schedule):
    oracle = GaussianOracle(schedule, mean=0.4, std=0.6)
    errors = []
    for steps in (50, 100, 200, 400):
        grid = Explicit([0.8 * (1 - i / steps) + 0.1 * i / steps for i in range(steps)] + [0.1, 0.0])
        plan = steps_of(schedule, grid)[:-1]
        start, end = plan[0].start, plan[-1].end
        x = start.alpha * 0.4 + math.sqrt(oracle.variance(start)) * randn(1, 4, 2, 3, 3)
        errors.append((run(DDIM(), oracle, x, plan) - oracle.flow(x, start, end)).abs().max().item())
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert orders[-1] == pytest.approx(1.0, abs=0.1), (errors, orders)
    assert errors[-1] < 0.02


def moments(solver, oracle, steps):
    """Mean and variance of the result, exactly: every step is affine in x and z."""
    mean = steps[0].start.alpha * oracle.mean
    variance = oracle.variance(steps[0].start)
    x, z = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=F64).reshape(2, 1, 1, 1, 1, 3)
    for step in steps:
        after, _ = solver.step(x, step, denoise_with(oracle), lambda key: z, solver.init())
        constant, moved, noisy = after.flatten().tolist()
        gain, spread = moved - constant, noisy - constant
        mean, variance = constant + gain * mean, gain**2 * variance + spread**2
    return mean, variance


@pytest.mark.parametrize("solver", [DDPM(), DDIM(0.0), DDIM(0.5)], ids=str)
@pytest.mark.parametrize("schedule", [VP, FLOW, VE], ids=["vp", "flow", "ve"])
def test_the_bias_of_the_variance_halves_as_steps_double(solver, schedule):
    oracle = GaussianOracle(schedule, mean=0.7, std=0.5)
    biases = []
    for count in (250, 500, 1000):
        # Uniform in angle: the finest step has to shrink as the others do.
        top = level_at(schedule, 0.999).angle
        times = schedule.time_at(torch.linspace(top, 0, count + 1, dtype=F64))
        mean, variance = moments(solver, oracle, steps_of(schedule, Explicit(times.tolist())))
        assert mean == pytest.approx(0.7, abs=1e-9)
        biases.append(variance - 0.25)
    ratios = [coarse / fine for coarse, fine in pairwise(biases)]
    assert ratios == pytest.approx([2.0, 2.0], abs=0.25), (biases, ratios)
    assert abs(biases[-1]) < 0.01


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_samples_reach_the_mean_and_variance_that_are_known(solver):
    oracle = GaussianOracle(VP, mean=0.7, std=0.5)
    steps = steps_of(VP, Linspace(100))
    count = 40_000
    x = steps[0].start.alpha * 0.7 + math.sqrt(oracle.variance(steps[0].start)) * randn(count, 1, 1, 1, 1)
    out = run(solver, oracle, x, steps, [randn(count, 1, 1, 1, 1, seed=s) for s in range(1, 101)])
    mean, variance = moments(solver, oracle, steps)
    assert out.mean().item() == pytest.approx(mean, abs=6 * 0.5 / math.sqrt(count))
    assert out.var().item() == pytest.approx(variance, abs=6 * 0.25 * math.sqrt(2 / count))
    assert mean == pytest.approx(0.7, abs=1e-3)
    assert variance == pytest.approx(0.25, rel=0.15)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=["vp", "zero", "ve", "flow"])
def test_a_known_x0_is_reached_exactly(solver, schedule):
    oracle = GaussianOracle(schedule, mean=0.3, std=0.0)
    out = run(
        solver,
        oracle,
        randn(2, 4, 3, 2, 2),
        steps_of(schedule, Explicit([1, 0.6, 0.3, 0])),
        randn(3, 2, 4, 3, 2, 2, seed=1),
    )
    torch.testing.assert_close(out, torch.full_like(out, 0.3), rtol=0, atol=1e-14)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize(
    "oracle", [GaussianOracle(VP, 0.3, 0.5), TwoModeOracle(ZERO)], ids=["gaussian", "two"]
)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_batch_of_three_is_three_of_one_bitwise(solver, oracle, dtype):
    steps = steps_of(oracle.schedule, Leading(20))
    x, z = randn(3, 4, 5, 3, 3, dtype=dtype), randn(20, 3, 4, 5, 3, 3, seed=1, dtype=dtype)
    whole = run(solver, oracle, x, steps, z)
    assert whole.dtype == dtype
    for i in range(3):
        assert torch.equal(whole[i : i + 1], run(solver, oracle, x[i : i + 1], steps, z[:, i : i + 1]))


def test_vp_and_flow_are_one_process():
    # The same angles on both schedules: states differ by the norm (alpha, sigma) alone.
    angles = torch.linspace(1.4, 0.0, 12, dtype=F64)
    x, z = randn(1, 4, 2, 2, 2), randn(11, 1, 4, 2, 2, 2, seed=1)
    for solver in SOLVERS:
        ends = []
        for schedule in (VP, FLOW, VE):
            steps = steps_of(schedule, Explicit(schedule.time_at(angles).tolist()))
            norm = math.hypot(steps[0].start.alpha, steps[0].start.sigma)
            ends.append(run(solver, TwoModeOracle(schedule), x * norm, steps, z))
        torch.testing.assert_close(ends[1], ends[0], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(ends[2], ends[0], rtol=1e-8, atol=1e-8)


# The kernel


levels = st.builds(
    lambda theta, norm: Level(
        0.5, norm * math.cos(theta) if theta < math.pi / 2 else 0.0, norm * math.sin(theta)
    ),
    st.one_of(st.floats(1e-6, math.pi / 2 - 1e-6), st.sampled_from([0.0, 1e-4, math.pi / 2])),
    st.floats(0.5, 2.0),
)


@given(start=levels, end=levels, eta=st.floats(0, 1))
def test_the_marginal_at_the_end_is_right_whatever_eta(start, end, eta):
    # x_t = a_t x_0 + s_t eps goes to a_s x_0 + N(0, s_s^2), when x_0 is known.
    c_x, c_0, c_z = coefficients(start, end, eta)
    assert all(map(math.isfinite, (c_x, c_0, c_z)))
    assert c_x >= 0
    assert c_z >= 0
    if start.sigma == 0 and end.sigma == 0:
        assert (c_x * start.alpha + c_0, c_z) == (pytest.approx(end.alpha), 0.0)
        return
    assert c_x * start.alpha + c_0 == pytest.approx(end.alpha, abs=1e-10 * (1 + c_x))
    assert math.hypot(c_x * start.sigma, c_z) == pytest.approx(end.sigma, rel=1e-9)


@given(start=levels, end=levels)
def test_steps_to_more_noise_are_the_forward_process(start, end):
    assume(0 < start.angle < end.angle - 1e-9)
    c_x, c_0, c_z = coefficients(start, end, 1.0)
    scale = end.alpha / start.alpha
    assert (c_x, c_0) == (pytest.approx(scale, rel=1e-9, abs=1e-12), 0.0)
    assert c_z**2 == pytest.approx(end.sigma**2 - (scale * start.sigma) ** 2, rel=1e-6, abs=1e-12)
    # eta = 0 up and down again is where it began.
    up, down = coefficients(start, end, 0.0), coefficients(end, start, 0.0)
    x, x_0 = 0.37, -0.21
    there = up[0] * x + up[1] * x_0
    assert down[0] * there + down[1] * x_0 == pytest.approx(x, abs=1e-6)


def test_noise_is_drawn_only_where_it_counts():
    x, clean, mid, noisy = randn(1, 1, 1, 1, 1), level_at(VP, 0.0), level_at(VP, 0.4), level_at(VP, 0.8)
    denoise = denoise_with(GaussianOracle(VP))
    for solver, start, end in [
        (DDIM(0.0), noisy, mid),
        (DDIM(0.0), mid, noisy),
        (DDPM(), noisy, clean),
        (DDPM(), mid, mid),
        (DDPM(), clean, clean),
    ]:
        out, _ = solver.step(x, Step(0, 1, start, end), denoise, no_noise, None)
        assert torch.isfinite(out).all()
    same, _ = DDPM().step(x, Step(0, 1, mid, mid), denoise, no_noise, None)
    assert torch.equal(same, x)
    # From the clean end there is no eps to keep: noise comes whatever eta.
    requested = []
    out, _ = DDIM(0.0).step(
        x, Step(0, 1, clean, mid), denoise, lambda key: requested.append(key) or torch.ones_like(x), None
    )
    assert requested == ["z"]
    torch.testing.assert_close(out, mid.alpha * x + mid.sigma)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, F64])
def test_the_dtype_of_x_is_kept_and_rounded_once(dtype):
    step = Step(0, 1, level_at(VP, 0.5), level_at(VP, 0.48))
    x, x_0, z = (
        randn(1, 4, 2, 3, 3, dtype=dtype),
        randn(1, 4, 2, 3, 3, seed=1, dtype=dtype),
        randn(1, 4, 2, 3, 3, seed=2),
    )
    out, _ = DDPM().step(x, step, lambda x, level: x_0, lambda key: z, None)
    exact, _ = DDPM().step(x.double(), step, lambda x, level: x_0.double(), lambda key: z, None)
    assert out.dtype == dtype
    # Half a unit in the last place of the dtype, and single-precision arithmetic.
    bound = exact.abs() * torch.finfo(dtype).eps / 2 + (0 if dtype == F64 else 2e-6)
    assert ((out.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_eta_outside_0_to_1_is_refused(eta):
    with pytest.raises(InputError, match="eta"):
        DDIM(eta)


def test_solvers_are_values():
    assert DDIM(0) == DDIM(0.0)
    assert len({DDPM(), DDPM(), DDIM(0.5), DDIM(0.5)}) == 2
    assert DDPM().order == DDIM().order == 1
