"""Checks of a solver's order: the error against an exact answer falls as it claims when steps are halved.

The error is the largest at the times that all runs visit, relative to the deviation there: at the last time
alone it may pass through zero. A deterministic solver is measured by its x, a stochastic one by mean and
variance of its samples, both exact (``jvid.testing.solving``). Steps are even in t, or alternately long and short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from jvid.core.levels import level_at
from jvid.core.protocols import Denoiser, Level, NoiseSchedule, Step
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.testing.checking import check
from jvid.testing.oracles import GaussianOracle, TwoModeOracle
from jvid.testing.solving import draws, even, latents_at, moments, path, reference, run
from jvid.testing.trial import Trial

COUNTS = (48, 96, 192, 384)
"""Steps of a run. The order is measured between the first two; where it falls short, between the next, as the
first terms of an error may cover what it comes to."""
COARSE = 24

HIGH, LOW = 0.9, 0.1
SLACK = 0.25
EXACT = 1e-9
"""Errors below are rounding."""

SCHEDULES: Mapping[str, NoiseSchedule] = {
    "a variance-preserving table": TabulatedSchedule.scaled_linear(),
    "flow matching": FlowMatching(),
    "variance exploding": VarianceExploding(0.05, 5.0),
}

Times = Callable[[int], Sequence[float]]


def falling(count: int) -> Sequence[float]:
    """Steps of equal length in t."""
    return even(HIGH, LOW, count)


def uneven(count: int) -> Sequence[float]:
    """Every second time moves by a third of a step: lengths 4/3 and 2/3."""
    return [t - (HIGH - LOW) / count / 3 * (i % 2) for i, t in enumerate(falling(count))]


def zigzag(count: int) -> Sequence[float]:
    """Down, up and down again."""
    third = count // 3
    return [*even(HIGH, 0.4, third), *even(0.4, 0.7, third)[1:], *even(0.7, 0.2, third)[1:]]


def shared(count: int) -> list[int]:
    """The positions of the steps after which every run is at the same times."""
    return [i * count // COARSE - 1 for i in range(2, COARSE + 1, 2)]


def require_order(what: str, order: int, error: Callable[[int], float]) -> None:
    """Assert that ``error(count)`` falls with the number of steps at the order."""
    errors = {COUNTS[0]: error(COUNTS[0])}
    measured = 0.0
    for fewer, more in pairwise(COUNTS):
        errors[more] = error(more)
        assert all(map(math.isfinite, errors.values())), f"{what}: errors {errors}"
        if errors[more] < EXACT:
            return
        measured = math.log2(max(errors[fewer], EXACT) / errors[more])
        if measured >= order - SLACK:
            return
    shown = ", ".join(f"{count}: {value:.2e}" for count, value in errors.items())
    raise AssertionError(f"{what}: order {measured:.2f}, expected {order} (steps and errors {shown})")


def _require_on_a_gaussian(solver: Any, where: str, times: Times, trial: Trial) -> None:
    """The order with a Gaussian oracle along the times, against its closed form."""
    schedule = SCHEDULES[where]
    oracle = GaussianOracle(schedule, mean=0.7, std=0.6)
    start = level_at(schedule, HIGH)

    def deviation(end: Level) -> float:
        return math.sqrt(oracle.variance(end))

    if not draws(solver, trial.device):
        x = latents_at(start, oracle.mean, oracle.std, device=trial.device)

        def error(count: int) -> float:
            steps = path(schedule, times(count))
            trace = run(solver, steps, oracle, x, copies=False).trace
            ends = [(trace[i], steps[i].end) for i in shared(count)]
            return max(
                float((got - oracle.flow(x, start, end)).abs().max()) / deviation(end) for got, end in ends
            )

        require_order(where, solver.order, error)
        return

    @cache
    def errors(count: int) -> tuple[float, float]:
        steps = path(schedule, times(count))
        found = moments(
            solver, steps, oracle, start.alpha * oracle.mean, oracle.variance(start), trial.device
        )
        ends = [(*found[i], steps[i].end) for i in shared(count)]
        of_mean = max(abs(mean - end.alpha * oracle.mean) / deviation(end) for mean, _, end in ends)
        of_variance = max(abs(spread / oracle.variance(end) - 1.0) for _, spread, end in ends)
        return of_mean, of_variance

    require_order(f"{where}, mean of the samples", solver.order, lambda count: errors(count)[0])
    require_order(f"{where}, variance of the samples", solver.order, lambda count: errors(count)[1])


@check("solver")
def order_as_claimed(subject: Any, trial: Trial) -> None:
    """With a Gaussian oracle, errors fall with the order claimed: of x, or of mean and variance of the samples."""
    order = subject.order
    valid = isinstance(order, int) and order >= 1
    assert valid, f"it claims order {order!r}: expected a whole number, at least 1"
    for where in SCHEDULES:
        _require_on_a_gaussian(subject, where, falling, trial)


@check("solver")
def order_on_uneven_steps(subject: Any, trial: Trial) -> None:
    """The order holds where steps are alternately long and short: coefficients see each step's own length."""
    for where in SCHEDULES:
        _require_on_a_gaussian(subject, where, uneven, trial)


@check("solver")
def order_where_noise_rises(subject: Any, trial: Trial) -> None:
    """The order holds on a walk down, up and down again, and so what is stepped up and down returns."""
    for where in SCHEDULES:
        _require_on_a_gaussian(subject, where, zigzag, trial)


def _two_modes(schedule: NoiseSchedule) -> Mapping[str, Denoiser]:
    return {"one": TwoModeOracle(schedule, 0.9, 0.5, 0.2)}


def _blend(schedule: NoiseSchedule) -> Mapping[str, Denoiser]:
    return {"one": GaussianOracle(schedule, -0.6, 0.5), "two": TwoModeOracle(schedule, 0.9, 0.6, 0.3)}


def _predict(weights: Mapping[str, float], experts: Mapping[str, Denoiser], x: Tensor, t: float) -> Tensor:
    at = torch.tensor(t, dtype=torch.float64, device=x.device)
    parts = [weight * experts[name](x, at, {}) for name, weight in weights.items()]
    return sum(parts[1:], parts[0])


@cache
def _expected(
    where: str, make: Callable[[NoiseSchedule], Mapping[str, Denoiser]], shares: tuple[float, ...]
) -> tuple[Tensor, ...]:
    """x at the shared times, from ``latents_at`` the start, by the reference."""
    steps = path(SCHEDULES[where], falling(COARSE // 2))
    experts = make(FlowMatching())
    weights = dict(zip(experts, shares, strict=True))
    x, out = latents_at(steps[0].start), []
    for step in steps:
        x = reference(x, step.start, step.end, lambda y, t: _predict(weights, experts, y, t), 16)
        out.append(x)
    return tuple(out)


def _require_against_reference(
    solver: Any,
    where: str,
    make: Callable[[NoiseSchedule], Mapping[str, Denoiser]],
    trial: Trial,
    *shares: float,
) -> None:
    schedule = SCHEDULES[where]
    experts = make(schedule)
    expected = [x.to(trial.device) for x in _expected(where, make, shares)]
    weights = dict(zip(experts, shares, strict=True))

    def error(count: int) -> float:
        steps = path(schedule, falling(count), lambda index, start: weights)
        x = latents_at(steps[0].start, device=trial.device)
        trace = run(solver, steps, experts, x, copies=False).trace
        return max(
            float((trace[i] - exact).abs().max()) / math.hypot(steps[i].end.alpha, steps[i].end.sigma)
            for i, exact in zip(shared(count), expected, strict=True)
        )

    require_order(where, solver.order, error)


@check("solver")
def order_on_two_modes(subject: Any, trial: Trial) -> None:
    """With an oracle of two modes, which is not linear, errors against a fine reference fall with the order claimed."""
    if draws(subject, trial.device):
        trial.skip("it is stochastic: what noise makes of two modes has no closed form")
    for where in SCHEDULES:
        _require_against_reference(subject, where, _two_modes, trial, 1.0)


@check("solver")
def order_with_blended_experts(subject: Any, trial: Trial) -> None:
    """The order holds where each step blends two experts."""
    if draws(subject, trial.device):
        trial.skip("it is stochastic: the ODE is no reference")
    _require_against_reference(subject, "flow matching", _blend, trial, 0.3, 0.7)


def _require_of_turns(
    solver: Any, where: str, order: int, name: Callable[[Step, int], str], trial: Trial
) -> None:
    schedule = SCHEDULES[where]
    oracles = {"one": GaussianOracle(schedule, 0.7, 0.6), "two": GaussianOracle(schedule, -0.5, 0.9)}

    def error(count: int) -> float:
        plain = path(schedule, falling(count))
        names = [name(step, count) for step in plain]
        steps = path(schedule, falling(count), lambda index, start: {names[index]: 1.0})
        x = exact = latents_at(steps[0].start, 0.7, 0.6, device=trial.device)
        expected = []
        for step in steps:
            exact = oracles[step.expert].flow(exact, step.start, step.end)
            expected.append(exact)
        trace = run(solver, steps, oracles, x, copies=False).trace
        return max(
            float((trace[i] - expected[i]).abs().max()) / math.sqrt(oracles["one"].variance(steps[i].end))
            for i in shared(count)
        )

    require_order(where, order, error)


@check("solver")
def order_across_a_switch(subject: Any, trial: Trial) -> None:
    """The order holds where one expert hands over to another that predicts something else."""
    if draws(subject, trial.device):
        trial.skip("it is stochastic: the ODE is no reference")
    for where in ("a variance-preserving table", "flow matching"):
        _require_of_turns(
            subject,
            where,
            subject.order,
            lambda step, count: "one" if step.index < count // 2 else "two",
            trial,
        )


@check("solver")
def converges_with_alternating_experts(subject: Any, trial: Trial) -> None:
    """Where two experts take turns at every step, x comes to the experts' exact flows in turn, at first order."""
    # No more can be expected of a solver with a past: the other expert moved x in between.
    if draws(subject, trial.device):
        trial.skip("it is stochastic: the ODE is no reference")
    for where in ("a variance-preserving table", "flow matching"):
        _require_of_turns(subject, where, 1, lambda step, count: ("one", "two")[step.index % 2], trial)
