"""Experts of any schedule and parameterization mix: in closed form the mixture's samples are a single expert's.

Every expert below knows the same data on another schedule, through another parameterization. Then it must not
matter which expert is evaluated, how often they change, or how they are blended: the samples equal, to 1e-10 in float64,
those of the one expert that stands on the reference itself.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.bridged import Bridged
from jvid.core.keyed import keyed_uniform
from jvid.core.levels import level_at
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.parameterized import Parameterized
from jvid.grids import Explicit, Karras
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.selectors import Always
from jvid.solvers import DDIM, DPMPP2M, PNDM, Euler, Heun, UniPC
from jvid.testing import GaussianOracle, TwoModeOracle

F64 = torch.float64
SCHEDULES = {
    "scaled-linear": TabulatedSchedule.scaled_linear(),
    "linear": TabulatedSchedule.linear(),
    "cosine": TabulatedSchedule.cosine(),
    "zero-terminal-snr": TabulatedSchedule.scaled_linear().zero_terminal_snr(),
    "edm": VarianceExploding(),
    "svd": VarianceExploding(0.002, 700.0),
    "flow": FlowMatching(),
    "flow-3": FlowMatching(3.0),
}
PREDICTIONS = ("eps", "v", "x0", "flow")
# What a multistep solver remembers is by expert unless it is declared otherwise: the same data, so one past for all.
SOLVERS = [
    DDIM(),
    Euler(),
    Heun(),
    PNDM(history="ignore"),
    PNDM("runge-kutta", history="ignore"),
    DPMPP2M(history="ignore"),
    UniPC(history="ignore"),
]
ORACLES = {
    "gaussian": lambda schedule: GaussianOracle(schedule, mean=0.4, std=0.6),
    "two-mode": lambda schedule: TwoModeOracle(schedule, offset=0.8, std=0.3, mean=-0.1),
}


def predicting(oracle, prediction):
    """A network of that parameterization that knows what the oracle knows, wrapped as a trained one is."""

    def network(x, t, cond):
        alpha, sigma = oracle.schedule(t)
        x_0 = oracle(x, t, cond)
        eps = (x - alpha * x_0) / sigma
        return {"eps": eps, "x0": x_0, "v": alpha * eps - sigma * x_0, "flow": eps - x_0}[prediction]

    return Parameterized(network, oracle.schedule, prediction)


def experts(make):
    """Eight schedules, and every parameterization on at least one table, one flow and one exploding schedule."""
    pairs = [(name, PREDICTIONS[i % 4]) for i, name in enumerate(SCHEDULES)]
    pairs += [(name, PREDICTIONS[(i + 2) % 4]) for i, name in enumerate(SCHEDULES)]
    return {
        f"{name}/{prediction}": Expert(predicting(make(SCHEDULES[name]), prediction))
        for name, prediction in pairs
    }


class OneOf:
    """Any of the experts, by chance."""

    def __init__(self, names):
        self.names = tuple(names)

    def __call__(self, step, u):
        return {self.names[int(u * len(self.names))]: 1.0}


class InTurn(OneOf):
    def __call__(self, step, u):
        return {self.names[step.index % len(self.names)]: 1.0}


class Blended(OneOf):
    """Three at a time, with weights that move."""

    def __call__(self, step, u):
        first = int(u * len(self.names))
        weights = [0.2 + 0.5 * step.progress, 0.3, 0.5 - 0.5 * step.progress]
        return {self.names[(first + k) % len(self.names)]: weight for k, weight in enumerate(weights)}


def falling(ratio, steps=10):
    """Evenly in angle from sigma / alpha = ratio, which all schedules here hold, to clean."""

    def grid(schedule):
        angles = torch.linspace(math.atan(ratio), 0.0, steps + 1, dtype=F64)
        return schedule.time_at(angles).tolist()

    return grid


def zigzag(ratio):
    """The same with a way back up in the middle."""

    def grid(schedule):
        angles = math.atan(ratio) * torch.tensor([1.0, 0.8, 0.6, 0.4, 0.7, 0.5, 0.3, 0.1, 0.0], dtype=F64)
        return schedule.time_at(angles).tolist()

    return grid


def sample(experts, selector, solver, grid, schedule, seeds=(3, 7)):
    sampler = Sampler(experts, selector, solver, grid, schedule)
    return sampler((2, 3, 4, 4), seeds=seeds, dtype=F64, plan=5)


@pytest.mark.parametrize("reference", SCHEDULES)
@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("data", ORACLES)
def test_a_mixture_of_schedules_and_parameterizations_samples_what_one_expert_does(reference, solver, data):
    schedule, make = SCHEDULES[reference], ORACLES[data]
    mixed = experts(make)
    for grid in (falling(9.0), zigzag(9.0)):
        expected = sample({"own": Expert(make(schedule))}, Always("own"), solver, grid, schedule)
        assert expected.std() > 0.2  # it is data, not a constant
        for selector in (OneOf(mixed), InTurn(mixed), Blended(mixed)):
            actual = sample(mixed, selector, solver, grid, schedule)
            torch.testing.assert_close(actual, expected, atol=1e-10, rtol=0)


NOISY = {name: SCHEDULES[name] for name in ("zero-terminal-snr", "flow", "flow-3")}


@pytest.mark.parametrize("reference", NOISY)
@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_schedules_that_begin_in_pure_noise_mix_from_it(reference, solver):
    schedule, make = SCHEDULES[reference], ORACLES["two-mode"]
    mixed = {
        f"{name}/{prediction}": Expert(predicting(make(other), prediction))
        for name, other in NOISY.items()
        for prediction in ("v", "x0", "flow")  # eps says nothing of x_0 there
    }
    grid = Explicit([1.0, 0.9, 0.75, 0.6, 0.4, 0.2, 0.1, 0.0])
    assert level_at(schedule, 1.0).alpha == 0.0
    expected = sample({"own": Expert(make(schedule))}, Always("own"), solver, grid, schedule)
    actual = sample(mixed, OneOf(mixed), solver, grid, schedule)
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("reference", ["edm", "svd"])
@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_an_exploding_reference_starts_at_its_own_noise(reference, solver):
    schedule, make = SCHEDULES[reference], ORACLES["gaussian"]
    names = ("svd", "flow", "flow-3", "zero-terminal-snr", reference)
    mixed = {
        f"{name}/{prediction}": Expert(predicting(make(SCHEDULES[name]), prediction))
        for name in names
        for prediction in ("v", "x0", "flow")
    }
    grid = Karras(10)
    expected = sample({"own": Expert(make(schedule))}, Always("own"), solver, grid, schedule)
    actual = sample(mixed, OneOf(mixed), solver, grid, schedule)
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=0)
    (state, *_) = Sampler(mixed, OneOf(mixed), DDIM(), grid, schedule).trace((2, 1, 16, 16), seeds=[1])
    assert state.step.start.sigma == pytest.approx(schedule.sigma_max)


def test_a_reference_noisier_than_an_expert_evaluates_it_at_its_own_noisiest():
    vp, make = SCHEDULES["scaled-linear"], ORACLES["gaussian"]
    own, ve = make(vp), SCHEDULES["edm"]
    x = ve.sigma_max * torch.linspace(-2, 2, 8, dtype=F64).reshape(1, 2, 1, 2, 2)
    top = level_at(vp, 1.0)
    requested = own(
        x * math.hypot(top.alpha, top.sigma) / math.hypot(1.0, 80.0), torch.tensor(1.0, dtype=F64), {}
    )
    torch.testing.assert_close(Bridged(own, ve)(x, torch.tensor(1.0, dtype=F64), {}), requested)
    # What that costs a sample is small: noise is nearly all there is up there.
    grid = Karras(200)
    expected = sample({"own": Expert(make(ve))}, Always("own"), Heun(), grid, ve)
    actual = sample({"vp": Expert(own)}, Always("vp"), Heun(), grid, ve)
    assert 1e-6 < (actual - expected).abs().max() < 0.02


# Properties

schedules = st.sampled_from(list(SCHEDULES.values()))
angles = st.one_of(
    st.floats(0.0, math.atan(14.0)), st.sampled_from([0.0, 1e-12, 1e-6, 1e-3, math.atan(14.0)])
)


def latents(norm):
    return norm * torch.linspace(-2, 2, 24, dtype=F64).reshape(1, 2, 3, 2, 2)


def time_of(schedule, angle):
    """A time at that angle, at most the schedule's noisiest, and the norm of its level."""
    t = schedule.time_at(torch.tensor(angle, dtype=F64))
    alpha, sigma = schedule(t)
    return t, float(torch.hypot(alpha, sigma))


@given(own=schedules, other=schedules, angle=angles)
def test_bridged_there_and_back_is_the_identity(own, other, angle):
    denoiser = TwoModeOracle(own)
    t, norm = time_of(own, angle)
    x = latents(norm)
    back = Bridged(Bridged(denoiser, other), own)
    torch.testing.assert_close(back(x, t, {}), denoiser(x, t, {}), atol=1e-11, rtol=0)


@given(own=schedules, by=schedules, outer=schedules, angle=angles)
def test_a_bridge_over_a_bridge_is_one_bridge(own, by, outer, angle):
    denoiser = TwoModeOracle(own)
    t, norm = time_of(outer, angle)
    x = latents(norm)
    twice = Bridged(Bridged(denoiser, by), outer)(x, t, {})
    torch.testing.assert_close(twice, Bridged(denoiser, outer)(x, t, {}), atol=1e-11, rtol=0)


@given(own=schedules, outer=schedules, angle=angles)
def test_a_bridged_oracle_is_the_oracle_of_the_outer_schedule(own, outer, angle):
    t, norm = time_of(outer, angle)
    x = latents(norm)
    bridged = Bridged(TwoModeOracle(own), outer)(x, t, {})
    torch.testing.assert_close(bridged, TwoModeOracle(outer)(x, t, {}), atol=1e-11, rtol=0)


@given(schedule=schedules, t=st.floats(0.0, 1.0))
def test_the_time_at_an_angle_is_of_that_angle(schedule, t):
    # In ratio, not in radians: a network is conditioned on the logarithm of sigma.
    level = level_at(schedule, t)
    back = level_at(schedule, float(schedule.time_at(torch.tensor(level.angle, dtype=F64))))
    assert back.angle == pytest.approx(level.angle, abs=1e-15, rel=1e-9)
    if level.alpha > 0:
        assert back.sigma * level.alpha == pytest.approx(level.sigma * back.alpha, rel=1e-9)


def test_the_tools_choose_among_all():
    names = list(experts(ORACLES["gaussian"]))
    assert len(names) == 16
    assert len({next(iter(OneOf(names)(None, keyed_uniform(5, ("plan", i))))) for i in range(60)}) > 12
