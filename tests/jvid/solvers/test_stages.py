"""Euler, Euler-ancestral, Heun, PNDM: measured order, churn, the ends of a schedule, steps back up, evaluations."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.levels import level_at
from jvid.core.protocols import Step
from jvid.errors import InputError
from jvid.grids import Explicit, Karras, Zigzag
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.solvers import DDIM, PNDM, Euler, EulerAncestral, Heun
from jvid.testing import GaussianOracle, TwoModeOracle
from jvid.testing.solving import path

F64 = torch.float64
VP = TabulatedSchedule.scaled_linear()
SCHEDULES = {
    "vp": VP,
    "cosine": TabulatedSchedule.cosine(),
    "zero": VP.zero_terminal_snr(),
    "flow": FlowMatching(),
    "flow-3": FlowMatching(3.0),
    "ve": VarianceExploding(),
}
DETERMINISTIC = [Euler(), EulerAncestral(eta=0.0), Heun(), PNDM(), PNDM("runge-kutta")]
SOLVERS = [*DETERMINISTIC, EulerAncestral(), EulerAncestral(0.5, 1.1), Euler(s_churn=4.0), Heun(s_churn=4.0)]


def randn(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def steps_of(schedule, times):
    return path(schedule, times, lambda index, start: {"a": 1.0})


def run(solver, denoiser, x, steps, noises=None, drawn=None, requested=None):
    """The last x; ``drawn`` and ``asked`` list what the solver called for, by step."""
    memory = solver.init()
    for step in steps:

        def denoise(x_t, level, step=step):
            if requested is not None:
                requested.append((step.index, level))
            return denoiser(x_t, torch.tensor(level.t, dtype=F64), {})

        def noise(key, step=step):
            assert noises is not None, f"noise {key!r} was drawn"
            if drawn is not None:
                drawn.append((step.index, key))
            return noises[step.index]

        x, memory = solver.step(x, step, denoise, noise, memory)
    return x


def even(high, low, count):
    return [high + (low - high) * i / count for i in range(count + 1)]


def uneven(high, low, count):
    """Steps of lengths 1 to 3, without any order."""
    lengths = 1.0 + 2.0 * torch.rand(count, generator=torch.Generator().manual_seed(1), dtype=F64)
    behind = torch.cat([torch.zeros(1, dtype=F64), lengths.cumsum(0)]) / lengths.sum()
    return (high + (low - high) * behind).tolist()


def error(solver, schedule, times):
    """The distance to where the probability-flow ODE goes, known in closed form."""
    oracle, steps = GaussianOracle(schedule, mean=0.4, std=0.6), steps_of(schedule, times)
    start = steps[0].start
    x = start.alpha * 0.4 + math.sqrt(oracle.variance(start)) * torch.linspace(-2, 2, 8, dtype=F64).reshape(
        1, 2, 1, 2, 2
    )
    return (run(solver, oracle, x, steps) - oracle.flow(x, start, steps[-1].end)).abs().max().item()


@pytest.mark.parametrize("solver", DETERMINISTIC, ids=str)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_order_is_what_is_declared(solver, schedule):
    coarse, fine = (error(solver, SCHEDULES[schedule], even(0.9, 0.1, n)) for n in (160, 320))
    assert math.log2(coarse / fine) == pytest.approx(solver.order, abs=0.25)
    assert fine < (2e-2 if solver.order == 1 else 2e-4)


@pytest.mark.parametrize("solver", DETERMINISTIC, ids=str)
@pytest.mark.parametrize("schedule", ["vp", "flow", "ve"])
def test_the_order_holds_on_steps_of_any_length(solver, schedule):
    coarse, fine = (error(solver, SCHEDULES[schedule], uneven(0.9, 0.1, n)) for n in (80, 320))
    assert math.log2(coarse / fine) / 2 > solver.order - 0.25


@pytest.mark.parametrize("solver", DETERMINISTIC, ids=str)
def test_the_order_holds_from_pure_noise(solver):
    coarse, fine = (error(solver, SCHEDULES["flow"], even(1.0, 0.1, n)) for n in (160, 320))
    assert math.log2(coarse / fine) > solver.order - 0.25


# Churn and ancestral noise, against the formulas where alpha = 1


def algorithm_2(x, sigmas, denoise, noises, churn, tmin, tmax, s_noise, second):
    """Karras et al. 2022, algorithm 2, line by line; ``second`` is its correction."""
    n = len(sigmas) - 1
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        gamma = min(churn / n, math.sqrt(2) - 1) if tmin <= sigma <= tmax else 0.0
        hat = sigma * (1 + gamma)
        x_hat = x + math.sqrt(hat**2 - sigma**2) * s_noise * noises[i]
        d = (x_hat - denoise(x_hat, hat)) / hat
        x = x_hat + (after - hat) * d
        if second and after != 0:
            d_after = (x - denoise(x, after)) / after
            x = x_hat + (after - hat) * (d + d_after) / 2
    return x


@pytest.mark.parametrize("churn", [0.0, 2.0, 100.0])
@pytest.mark.parametrize("kind", [Euler, Heun])
@pytest.mark.parametrize("schedule", ["ve", "vp", "flow"])
def test_churn_is_algorithm_2_of_karras(kind, churn, schedule):
    options = {"s_churn": churn, "s_tmin": 0.05, "s_tmax": 3.0, "s_noise": 1.01}
    outer, sigmas = SCHEDULES[schedule], [8.0, 4.0, 2.0, 1.0, 0.4, 0.1, 0.02, 0.0]
    times = outer.time_at(torch.tensor(sigmas, dtype=F64).atan()).tolist()
    steps = steps_of(outer, times)
    x, z, drawn = 8.0 * randn(2, 2, 2, 2, 2), randn(7, 2, 2, 2, 2, 2, seed=1), []

    def denoise(y, sigma):  # two modes, where alpha = 1
        variance = 0.25**2 + sigma**2
        return y * 0.25**2 / variance + torch.tanh(y / variance) * (1 - 0.25**2 / variance)

    expected = algorithm_2(x, sigmas, denoise, z, churn, *list(options.values())[1:], second=kind is Heun)
    ours = run(kind(**options), TwoModeOracle(outer), x * steps[0].start.alpha, steps, z, drawn)
    torch.testing.assert_close(ours, expected, atol=1e-10, rtol=0)
    # sigma of 2, 1, 0.4 and 0.1 lie within.
    assert drawn == ([(i, "churn") for i in (2, 3, 4, 5)] if churn else [])


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("schedule", ["ve", "vp", "flow"])
def test_ancestral_noise_is_that_of_k_diffusion(eta, schedule):
    outer, sigmas = SCHEDULES[schedule], [8.0, 4.0, 2.0, 1.0, 0.4, 0.1, 0.0]
    steps = steps_of(outer, outer.time_at(torch.tensor(sigmas, dtype=F64).atan()).tolist())
    x, z = 8.0 * randn(2, 2, 2, 2, 2), randn(6, 2, 2, 2, 2, 2, seed=1)
    expected = x
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        variance = 0.25**2 + sigma**2
        x_0 = expected * 0.25**2 / variance + torch.tanh(expected / variance) * (1 - 0.25**2 / variance)
        up = min(after, eta * (after**2 * (sigma**2 - after**2) / sigma**2) ** 0.5)
        down = (after**2 - up**2) ** 0.5
        expected = expected + (expected - x_0) / sigma * (down - sigma) + 0.9 * up * z[i]
    ours = run(EulerAncestral(eta, s_noise=0.9), TwoModeOracle(outer), x * steps[0].start.alpha, steps, z)
    torch.testing.assert_close(ours, expected, atol=1e-10, rtol=0)


def test_without_churn_euler_is_ddim_and_ancestral_is_ddim_of_its_eta():
    steps = steps_of(VP, [0.9, 0.5, 0.7, 0.2, 0.0])
    oracle, x, z = TwoModeOracle(VP), randn(2, 2, 2, 2, 2), randn(4, 2, 2, 2, 2, 2, seed=1)
    assert torch.equal(run(Euler(), oracle, x, steps), run(DDIM(), oracle, x, steps))
    assert torch.equal(run(EulerAncestral(0.4), oracle, x, steps, z), run(DDIM(0.4), oracle, x, steps, z))


def test_churn_stops_at_the_noisiest_of_the_schedule():
    steps = steps_of(VP, [1.0, 0.5, 0.0])
    drawn, requested = [], []
    x, z = randn(1, 2, 2, 2, 2), randn(2, 1, 2, 2, 2, 2, seed=1)
    run(Euler(s_churn=100), TwoModeOracle(VP), x, steps, z, drawn, requested)
    assert drawn == [(1, "churn")]
    assert requested[0][1] == steps[0].start
    assert requested[1][1].angle > steps[1].start.angle


def test_churn_leaves_steps_to_more_noise_alone():
    steps = steps_of(VP, [0.3, 0.6])
    oracle, x = TwoModeOracle(VP), randn(1, 2, 2, 2, 2)
    assert torch.equal(run(Heun(s_churn=10), oracle, x, steps), run(Heun(), oracle, x, steps))


# Ends, turns, dtypes, batches


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("times", [[1, 0.6, 0.3, 0], [1, 0.4, 0.7, 0.7, 0.2, 0, 0.1, 0], [1, 0], [0.5, 1, 0]])
def test_a_known_x0_is_reached_from_any_end(solver, schedule, times):
    oracle, steps = (
        GaussianOracle(SCHEDULES[schedule], mean=0.3, std=0.0),
        steps_of(SCHEDULES[schedule], times),
    )
    z = randn(len(steps), 2, 2, 3, 2, 2, seed=1)
    out = run(solver, oracle, steps[0].start.sigma * randn(2, 2, 3, 2, 2), steps, z)
    torch.testing.assert_close(out, torch.full_like(out, 0.3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_evaluations_are_as_many_as_are_declared(solver, schedule):
    outer = SCHEDULES[schedule]
    for grid in (Explicit([1, 0.8, 0.5, 0.5, 0.7, 0.2, 0.0, 0.1, 0]), Zigzag(12, back=3), Explicit([1, 0])):
        steps, requested = steps_of(outer, grid(outer)), []
        run(
            solver, TwoModeOracle(outer), randn(1, 1, 1, 2, 2), steps,
            randn(len(steps), 1, 1, 1, 2, 2, seed=1), requested=requested,
        )  # fmt: skip
        stated = getattr(solver, "evaluations", lambda step: 1)
        assert [sum(index == step.index for index, _ in requested) for step in steps] == [
            stated(s) for s in steps
        ]


def test_heun_evaluates_twice_but_where_a_step_ends_clean():
    steps = steps_of(VP, [0.9, 0.5, 0.0])
    assert [Heun().evaluations(step) for step in steps] == [2, 1]
    assert Heun().evaluations(steps_of(SCHEDULES["flow"], [1.0, 0.5])[0]) == 1


@cache
def cosine_end():
    """Points of pure noise and where the ODE of two modes takes them, on the cosine table."""
    x, oracle = torch.linspace(-2, 2, 8, dtype=F64).reshape(1, 2, 1, 2, 2), TwoModeOracle(SCHEDULES["cosine"])
    return x, oracle, run(Euler(), oracle, x, steps_of(SCHEDULES["cosine"], even(1.0, 0.0, 2000)))


@pytest.mark.parametrize("solver", [s for s in DETERMINISTIC if s.order == 2], ids=str)
@pytest.mark.parametrize("count", [3, 10, 20])
def test_the_steep_first_step_of_a_cosine_table_is_eulers(solver, count):
    # sigma / alpha falls there from 20,000; two slopes over such a step say nothing of what lies between.
    steps = steps_of(SCHEDULES["cosine"], even(1.0, 0.0, count))
    x, oracle, exact = cosine_end()
    euler, ours = ((run(s, oracle, x, steps) - exact).abs().max() for s in (Euler(), solver))
    assert solver.evaluations(steps[0]) == 1
    assert ours < 1.3 * euler
    single = run(solver, oracle, x.float(), steps).double()
    assert (single - run(solver, oracle, x, steps)).abs().max() < 1e-4


@pytest.mark.parametrize("solver", [s for s in DETERMINISTIC if s.order == 2], ids=str)
def test_up_and_down_again_returns_at_third_order(solver):
    # Where the ODE turns round, so does the solver: what one pair of steps misses falls with their cube.
    def missed(width):
        steps = steps_of(VP, [0.5, 0.5 + width, 0.5])
        x = randn(1, 2, 2, 2, 2)
        return (run(solver, TwoModeOracle(VP), x, steps) - x).abs().max().item()

    assert math.log2(missed(0.02) / missed(0.01)) > (1.75 if isinstance(solver, PNDM) else 2.75)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_batch_of_three_is_three_of_one_bitwise(solver, dtype):
    steps = steps_of(VP, even(1.0, 0.0, 12))
    oracle = TwoModeOracle(VP)
    x, z = randn(3, 4, 5, 3, 3, dtype=dtype), randn(12, 3, 4, 5, 3, 3, seed=1, dtype=dtype)
    whole = run(solver, oracle, x, steps, z)
    assert whole.dtype == dtype
    for i in range(3):
        assert torch.equal(whole[i : i + 1], run(solver, oracle, x[i : i + 1], steps, z[:, i : i + 1]))


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once_a_stage(solver, dtype):
    steps = steps_of(VP, [0.6, 0.55])
    x, z = randn(1, 4, 2, 3, 3, dtype=dtype), randn(1, 1, 4, 2, 3, 3, seed=1, dtype=dtype)
    out = run(solver, GaussianOracle(VP, 0.2, 0.5), x, steps, z)
    exact = run(solver, GaussianOracle(VP, 0.2, 0.5), x.double(), steps, z.double())
    assert out.dtype == dtype
    assert (out.double() - exact).abs().max() < 4 * torch.finfo(dtype).eps * max(1.0, exact.abs().max())


@given(
    schedule=st.sampled_from(list(SCHEDULES.values())),
    solver=st.sampled_from(DETERMINISTIC),
    t=st.floats(0.02, 0.99),
)
def test_data_of_no_spread_in_any_scale_stays_on_its_ray(schedule, solver, t):
    # x = alpha m + sigma eps with eps kept: every deterministic solver is exact there, wherever it stops.
    steps = steps_of(schedule, [t, 0.7 * t, 0.5 * t, 0.6 * t, 0.01])
    eps = randn(1, 2, 1, 2, 2)
    first, last = steps[0].start, steps[-1].end
    out = run(
        solver, GaussianOracle(schedule, mean=-0.7, std=0.0), -0.7 * first.alpha + first.sigma * eps, steps
    )
    torch.testing.assert_close(out, -0.7 * last.alpha + last.sigma * eps, atol=1e-9, rtol=0)


# EDM's own sampler


@pytest.mark.parametrize("steps", [8, 18])
def test_euler_on_the_grid_of_karras_is_edm_euler_of_diffusers(steps):
    from diffusers import EDMEulerScheduler

    schedule, grid = VarianceExploding(0.002, 80.0), Karras(steps)
    scheduler = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
    scheduler.set_timesteps(steps)
    plan = steps_of(schedule, grid(schedule))
    ours = [step.start.sigma for step in plan] + [plan[-1].end.sigma]
    assert ours == pytest.approx(scheduler.sigmas.tolist(), rel=1e-5, abs=1e-12)


@pytest.mark.parametrize(
    ("build", "printed"),
    [
        (lambda: Euler(s_churn=-1), "Euler got s_churn=-1"),
        (lambda: Heun(s_churn=-1), "Heun got s_churn=-1"),
        (lambda: Euler(s_noise=float("nan")), "s_noise=nan"),
        (lambda: Heun(s_tmin=2, s_tmax=1), "Heun got s_tmax=1 below s_tmin=2"),
        (lambda: EulerAncestral(1.5), "eta=1.5"),
        (lambda: EulerAncestral(s_noise=-1), "s_noise=-1"),
        (lambda: PNDM("prk"), "start='prk'"),
        (lambda: PNDM(history="forget"), "history='forget'"),
    ],
)
def test_bad_input_is_one_line(build, printed):
    with pytest.raises(InputError) as caught:
        build()
    assert printed in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("solver", [Euler(s_churn=1.0), PNDM("runge-kutta")], ids=str)
def test_a_stage_between_needs_the_schedule(solver):
    step = Step(0, 4, level_at(VP, 0.5), level_at(VP, 0.4), {"a": 1.0})
    with pytest.raises(InputError, match="has no schedule"):
        solver.step(randn(1, 1, 1, 1, 1), step, lambda x, level: x, lambda key: None, solver.init())
