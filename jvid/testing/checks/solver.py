"""Checks of solvers: values that are known exactly, the ends of a schedule, dtypes and rows.

With x_0 known outright (an oracle of deviation 0) every level's x is alpha x_0 + sigma eps: a deterministic solver
keeps eps, a stochastic one the variance sigma^2, at every step. Order is in ``solver_order``, memory in
``solver_memory``, what a solver asks for in ``solver_calls``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.levels import level_at
from jvid.core.protocols import Level, NoiseSchedule
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing.checking import check
from jvid.testing.checks import solver_calls, solver_memory, solver_order, solver_reference  # noqa: F401 - they register
from jvid.testing.checks.options import vary
from jvid.testing.oracles import GaussianOracle, TwoModeOracle
from jvid.testing.solving import (
    F64,
    ON,
    WALK,
    Twin,
    draws,
    ends,
    even,
    keyed_draw,
    latents_at,
    moments,
    path,
    run,
)
from jvid.testing.strategies import SCHEDULES, grids
from jvid.testing.trial import Trial


@check("solver")
def exact_where_x_0_is_known(subject: Any, trial: Trial) -> None:
    """With a denoiser that knows x_0, x at each step is alpha x_0 + sigma eps: eps kept, or its variance."""
    mean = 3.0  # beyond [-1, 1], and beyond what noise reaches
    for where, schedule in ON.items():
        oracle = GaussianOracle(schedule, mean, 0.0)
        steps = path(schedule, (*WALK, 0.0))
        first = steps[0].start
        if draws(subject):
            told = moments(subject, steps, oracle, first.alpha * mean, first.sigma**2)
            for step, (average, spread) in zip(steps, told, strict=True):
                end = step.end
                _near(average, end.alpha * mean, f"{where}, {ends(step)}: mean of the samples", end)
                _near(spread, end.sigma**2, f"{where}, {ends(step)}: variance of the samples", end)
            continue
        x = latents_at(first, mean, 0.0)
        eps = (x - first.alpha * mean) / first.sigma
        out = run(subject, steps, oracle, x)
        for step, got in zip(steps, out.trace, strict=True):
            exact = step.end.alpha * mean + step.end.sigma * eps
            _near_all(got, exact, f"{where}, {ends(step)}: x", step.end)
        for index, got, level in out.evaluated:
            exact = level.alpha * mean + level.sigma * eps
            _near_all(got, exact, f"{where}, step {index}: x as evaluated at t {level.t:.3g}", level)


def _near(got: float, expected: float, what: str, level: Level) -> None:
    scale = max(1.0, level.sigma**2)
    assert abs(got - expected) <= 1e-8 * scale, f"{what} {got:.9g}, expected {expected:.9g}"


def _near_all(got: Tensor, expected: Tensor, what: str, level: Level) -> None:
    off = float((got - expected).abs().max())
    assert off <= 1e-8 * max(1.0, level.sigma), f"{what} is {off:.3g} from alpha x_0 + sigma eps"


@check("solver")
def rises_from_the_clean_end(subject: Any, trial: Trial) -> None:
    """From sigma = 0, where x is data and eps unknown, a step to more noise gives alpha x and noise of sigma."""
    for where, schedule in ON.items():
        steps = path(schedule, (0.0, 0.4, 0.6, 0.3))
        told = moments(subject, steps, GaussianOracle(schedule, 3.0, 0.0), 3.0, 0.0)
        for step, (average, spread) in zip(steps, told, strict=True):
            end = step.end
            _near(average, 3.0 * end.alpha, f"{where}, {ends(step)}: mean of the samples", end)
            _near(spread, end.sigma**2, f"{where}, {ends(step)}: variance of the samples", end)


@check("solver")
def same_on_any_scale(subject: Any, trial: Trial) -> None:
    """On a schedule of the same angles and another scale (VP, flow, VE) x is the same but for that scale."""
    flow = FlowMatching()
    times = (0.95, 0.8, 0.75, 0.5, 0.6, 0.3, 0.2, 0.05)

    def scaled(schedule: NoiseSchedule) -> list[Tensor]:
        steps = path(schedule, times)
        oracle = TwoModeOracle(schedule, 0.9, 0.4, 0.3)
        first = steps[0].start
        x = latents_at(level_at(flow, times[0])) * (_size(first) / _size(level_at(flow, times[0])))
        trace = run(subject, steps, oracle, x).trace
        return [x / _size(step.end) for x, step in zip(trace, steps, strict=True)]

    expected = scaled(flow)
    for name, twin in (("variance preserving", Twin(flow)), ("variance exploding", Twin(flow, True))):
        for i, (got, want) in enumerate(zip(scaled(twin), expected, strict=True)):
            trial.close(got, want, f"flow matching and {name}, after step {i}", 1e-9)


def _size(level: Level) -> float:
    return math.hypot(level.alpha, level.sigma)


@check("solver")
def a_step_of_no_length_is_nothing(subject: Any, trial: Trial) -> None:
    """A first step that ends at the level where it starts leaves x as it is."""
    for where, schedule in ON.items():
        for t in (0.0, 0.3, 0.8, 1.0):
            steps = path(schedule, (t, t))
            if steps[0].start.alpha == 0.0:
                continue  # eps is x itself there, whatever is predicted; but solvers may round
            x = latents_at(steps[0].start)
            out = run(subject, steps, GaussianOracle(schedule, 0.4, 0.5), x).x
            trial.close(out, x, f"{where}, t {t:g}", 1e-9)


@check("solver")
def finite_on_any_walk(subject: Any, trial: Trial) -> None:
    """No NaN or infinity on any walk over any schedule, sigma = 0, alpha = 0 and equal levels among its stops."""

    @trial.given(schedule=st.sampled_from(SCHEDULES), times=grids(2, 7, falling=False))
    def _(schedule: NoiseSchedule, times: tuple[float, ...]) -> None:
        # Times that no grid has (1e-194) are left out: squares of them are 0.
        steps = path(schedule, [round(t, 6) for t in times])
        out = run(subject, steps, TwoModeOracle(schedule, 0.9, 0.4), latents_at(steps[0].start))
        for step, x in zip(steps, out.trace, strict=True):
            assert x.isfinite().all(), f"not finite after t {step.start.t:g} to {step.end.t:g}"


@check("solver")
def dtype_and_shape_kept(subject: Any, trial: Trial) -> None:
    """x and the latents it evaluates keep shape and dtype; a run in float32 is that in float64 but for rounding."""
    schedule = TabulatedSchedule.scaled_linear()
    steps = path(schedule, even(0.99, 0.0, 12))
    shape = (2, 3, 1, 5, 2)
    found = {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        x = trial.latents(shape, 1, F64).to(dtype)

        def draw(index: int, key: str, dtype: torch.dtype = dtype, x: Tensor = x) -> Tensor:
            return keyed_draw(x.double(), index, key).to(dtype)

        out = run(subject, steps, TwoModeOracle(schedule), x, draw)
        for index, value, _ in out.evaluated:
            kept = value.dtype == dtype and value.shape == x.shape
            assert kept, (
                f"step {index} evaluates with {value.dtype} of shape {tuple(value.shape)} for {dtype} of {shape}"
            )
        kept = out.x.dtype == dtype and out.x.shape == x.shape
        assert kept, f"x of {dtype} and {shape} came back as {out.x.dtype} and {tuple(out.x.shape)}"
        found[dtype] = out.x.double()
    off = float((found[torch.float32] - found[F64]).abs().max())
    assert off <= 1e-4, f"float32 and float64 are {off:.2g} apart after {len(steps)} steps"


@check("solver")
def coefficients_in_double(subject: Any, trial: Trial) -> None:
    """The coefficients of short steps do not lose digits where x is float32: 1 - r^2 of r near 1."""
    schedule = TabulatedSchedule.scaled_linear()
    for t in (0.8, 0.3):
        steps = path(schedule, (t, t - 1e-5))
        for part in ("x_0", "noise"):

            def answer(x: Tensor, t: Tensor, cond: Any, part: str = part) -> Tensor:
                return torch.full_like(x, float(part == "x_0"))

            found = []
            for dtype in (torch.float32, F64):
                x = torch.zeros(1, 1, 1, 1, 1, dtype=dtype)

                def draw(index: int, key: str, x: Tensor = x, part: str = part) -> Tensor:
                    return torch.full_like(x, float(part == "noise"))

                found.append(float(run(subject, steps, answer, x, draw).x))  # type: ignore[arg-type]
            single, double = found
            assert abs(single - double) <= 1e-4 * abs(double), (
                f"the weight of {part} at t {t:g} is {single:.6g} in float32, {double:.6g} in float64"
            )


@check("solver")
def half_precision_agrees(subject: Any, trial: Trial) -> None:
    """A step of bfloat16 latents is that of the same latents in double, but for what bfloat16 holds of x and the predictions."""
    schedule = TabulatedSchedule.scaled_linear()
    oracle = TwoModeOracle(schedule, 0.9, 0.4, 0.2)
    for times in ((0.9, 0.6), (0.5, 0.45), (0.2, 0.02)):
        steps = path(schedule, times)
        x = latents_at(steps[0].start).bfloat16()

        def draw(index: int, key: str, x: Tensor = x) -> Tensor:
            return keyed_draw(x.double(), index, key).bfloat16()

        def wide(index: int, key: str, draw: Any = draw) -> Tensor:
            return draw(index, key).double()  # type: ignore[no-any-return]

        got = run(subject, steps, oracle, x, draw).x
        expected = run(subject, steps, oracle, x.double(), wide).x
        trial.close(got, expected, f"x after {ends(steps[0])}, in bfloat16 and in double", 0.012)


@check("solver")
def rows_of_a_batch_are_apart(subject: Any, trial: Trial) -> None:
    """A clip comes out of a batch bit for bit as it does alone."""
    schedule = TabulatedSchedule.scaled_linear()
    steps = path(schedule, (0.95, 0.7, 0.75, 0.4, 0.0))

    @trial.given(shape=trial.shapes(batch=(3,)), seed=st.integers(0, 99))
    def _(shape: tuple[int, ...], seed: int) -> None:
        x = trial.latents(shape, seed, torch.float32)
        whole = run(subject, steps, TwoModeOracle(schedule), x).x
        for b in range(shape[0]):
            row = x[b : b + 1]

            def draw(index: int, key: str, b: int = b) -> Tensor:
                return keyed_draw(x, index, key)[b : b + 1]

            trial.same(
                run(subject, steps, TwoModeOracle(schedule), row, draw).x, whole[b : b + 1], f"row {b}"
            )


@check("solver")
def names_of_experts_mean_nothing(subject: Any, trial: Trial) -> None:
    """With other names for the experts, x is the same bit for bit."""
    schedule = FlowMatching()
    oracles = (GaussianOracle(schedule, 0.7, 0.6), TwoModeOracle(schedule, 0.9, 0.4))

    def result(names: Sequence[str]) -> Tensor:
        def who(index: int, start: Level) -> Mapping[str, float]:
            share = (1.0, 1.0, 0.3, 0.6, 0.0, 0.0, 1.0, 0.0)[index]
            told = {names[0]: share, names[1]: 1.0 - share}
            return {name: weight for name, weight in told.items() if weight}

        steps = path(schedule, even(0.95, 0.1, 8), who)
        return run(subject, steps, dict(zip(names, oracles, strict=True)), latents_at(steps[0].start)).x

    expected = result(("video", "image"))
    for names in (("image", "video"), ("b", "a")):
        trial.same(result(names), expected, f"experts named {names}")


vary("solver")
