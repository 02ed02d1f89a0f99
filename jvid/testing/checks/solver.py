"""Checks of solvers: values that are known exactly, the ends of a schedule, dtypes and rows.

With x_0 known outright (an oracle of deviation 0) every level's x is alpha x_0 + sigma eps: a deterministic solver
keeps eps, a stochastic one the variance sigma^2, at every step. Order is in ``solver_order``, memory in
``solver_memory``, what a solver asks for in ``solver_calls``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.levels import level_at
from jvid.core.protocols import Level, NoiseSchedule
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing.checking import check
from jvid.testing.checks import (  # noqa: F401 - they register
    solver_calls,
    solver_local,
    solver_memory,
    solver_order,
    solver_reference,
)
from jvid.testing.checks.options import vary
from jvid.testing.oracles import GaussianOracle, TwoModeOracle
from jvid.testing.rounding import of_solver
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
from jvid.testing.strategies import SCHEDULES, grids, indices
from jvid.testing.trial import Trial


@check("solver")
def exact_where_x_0_is_known(subject: Any, trial: Trial) -> None:
    """With a denoiser that knows x_0, x at each step is alpha x_0 + sigma eps (eps kept, or its variance), or comes to it."""
    for where, schedule in ON.items():
        try:
            _require_exact(subject, where, schedule, trial)
        except AssertionError:
            # An integrator that is not exponential is exact in the limit of short steps alone.
            def error(parts: int, schedule: NoiseSchedule = schedule) -> float:
                return _inexact(subject, schedule, parts, trial)

            if _exact_at_some(subject, schedule, trial) or not _converges(error, subject, trial):
                raise


def _exact_at_some(subject: Any, schedule: NoiseSchedule, trial: Trial) -> bool:
    """Whether some steps between inner levels keep eps and others do not: an integrator is exponential or it is not."""
    if draws(subject, trial.device):
        return False
    steps = path(schedule, WALK[1:])
    x = latents_at(steps[0].start, MEAN, 0.0, device=trial.device)
    trace = run(subject, steps, GaussianOracle(schedule, MEAN, 0.0), x).trace
    eps = [(x - steps[0].start.alpha * MEAN) / steps[0].start.sigma]
    eps += [(got - step.end.alpha * MEAN) / step.end.sigma for got, step in zip(trace, steps, strict=True)]
    kept = [float((two - one).abs().max()) <= 1e-9 for one, two in pairwise(eps)]
    return any(kept) and not all(kept)


MEAN = 3.1
"""Beyond [-1, 1], and beyond what noise reaches; no number of float32."""


def _require_exact(subject: Any, where: str, schedule: NoiseSchedule, trial: Trial) -> None:
    oracle = GaussianOracle(schedule, MEAN, 0.0)
    steps = path(schedule, (*WALK, 0.0))
    first = steps[0].start
    if draws(subject, trial.device):
        reached = moments(subject, steps, oracle, first.alpha * MEAN, first.sigma**2, trial.device)
        for step, (average, spread) in zip(steps, reached, strict=True):
            end = step.end
            _near(average, end.alpha * MEAN, f"{where}, {ends(step)}: mean of the samples", end)
            _near(spread, end.sigma**2, f"{where}, {ends(step)}: variance of the samples", end)
        return
    x = latents_at(first, MEAN, 0.0, device=trial.device)
    eps = (x - first.alpha * MEAN) / first.sigma
    out = run(subject, steps, oracle, x)
    for step, got in zip(steps, out.trace, strict=True):
        exact = step.end.alpha * MEAN + step.end.sigma * eps
        _near_all(got, exact, f"{where}, {ends(step)}: x", step.end)
    for index, got, level in out.evaluated:
        exact = level.alpha * MEAN + level.sigma * eps
        _near_all(got, exact, f"{where}, step {index}: x as evaluated at t {level.t:.3g}", level)


def _refined(times: Sequence[float], parts: int) -> list[float]:
    """The times, and between neighbours so many equal steps."""
    out = [times[0]]
    for now, then in pairwise(times):
        out += [now + (then - now) * (k + 1) / parts for k in range(parts)]
    return out


def _converges(error: Callable[[int], float], subject: Any, trial: Trial) -> bool:
    """Whether an error falls with steps of a quarter, an eighth and a sixteenth of their length, at nearly the order claimed.

    Never of a solver of first order, unless ``exponential=False`` is declared: only exactness distinguishes it from others.
    """
    order = int(getattr(subject, "order", 1))
    if order < 2 and trial.option("exponential"):
        return False
    factor = 0.5 ** (max(order, 1) - 0.35)
    errors = [error(parts) for parts in (4, 8, 16)]
    return all(map(math.isfinite, errors)) and all(
        later <= max(factor * before, 1e-9) for before, later in pairwise(errors)
    )


def _inexact(subject: Any, schedule: NoiseSchedule, parts: int, trial: Trial) -> float:
    """The largest error of a run of refined steps at the walk's own stops, where x_0 is known, and after one to sigma = 0.

    That last step stays whole, as slopes are infinite at its end: from any level it leads to x_0 itself.
    """
    oracle = GaussianOracle(schedule, MEAN, 0.0)
    steps = path(schedule, (*_refined(WALK[1:], parts), 0.0))
    first = steps[0].start
    stops = [*range(parts - 1, len(steps) - 1, parts), len(steps) - 1]
    if draws(subject, trial.device):
        reached = moments(subject, steps, oracle, first.alpha * MEAN, first.sigma**2, trial.device)
        off = (
            (reached[k][0] - steps[k].end.alpha * MEAN, reached[k][1] - steps[k].end.sigma ** 2)
            for k in stops
        )
        return float(max(abs(mean) + abs(variance) for mean, variance in off))
    x = latents_at(first, MEAN, 0.0, device=trial.device)
    eps = (x - first.alpha * MEAN) / first.sigma
    trace = run(subject, steps, oracle, x).trace
    return max(
        float((trace[k] - steps[k].end.alpha * MEAN - steps[k].end.sigma * eps).abs().max()) for k in stops
    )


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

        def reached(parts: int, schedule: NoiseSchedule = schedule) -> list[tuple[Level, str, float, float]]:
            steps = path(schedule, (0.0, *_refined((0.4, 0.6, 0.3), parts)))
            found = moments(subject, steps, GaussianOracle(schedule, 3.0, 0.0), 3.0, 0.0, trial.device)
            rows = [(step.end, ends(step), *each) for step, each in zip(steps, found, strict=True)]
            return [rows[0], *rows[parts::parts]]

        try:
            for end, way, average, spread in reached(1):
                _near(average, 3.0 * end.alpha, f"{where}, {way}: mean of the samples", end)
                _near(spread, end.sigma**2, f"{where}, {way}: variance of the samples", end)
        except AssertionError:

            def error(parts: int, reached: Any = reached) -> float:
                return float(
                    max(abs(m - 3.0 * end.alpha) + abs(v - end.sigma**2) for end, _, m, v in reached(parts))
                )

            if not _converges(error, subject, trial):
                raise


@check("solver")
def same_on_any_scale(subject: Any, trial: Trial) -> None:
    """On a schedule of the same angles and another scale (VP, flow, VE) x is the same but for that scale, or comes to be."""
    times = (0.95, 0.8, 0.75, 0.5, 0.6, 0.3, 0.2, 0.05)
    expected = _scaled(subject, FlowMatching(), times, trial)
    for name, twin in (
        ("variance preserving", Twin(FlowMatching())),
        ("variance exploding", Twin(FlowMatching(), True)),
    ):
        try:
            for i, (got, want) in enumerate(zip(_scaled(subject, twin, times, trial), expected, strict=True)):
                trial.close(got, want, f"flow matching and {name}, after step {i}", 1e-9)
        except AssertionError:

            def apart(parts: int, twin: NoiseSchedule = twin) -> float:
                refined = _refined(times, parts)
                both = zip(
                    _scaled(subject, twin, refined, trial),
                    _scaled(subject, FlowMatching(), refined, trial),
                    strict=True,
                )
                return max(float((one - two).abs().max()) for one, two in list(both)[parts - 1 :: parts])

            if not _converges(apart, subject, trial):
                raise


def _scaled(subject: Any, schedule: NoiseSchedule, times: Sequence[float], trial: Trial) -> list[Tensor]:
    """x after each step of a run, in the scale where alpha^2 + sigma^2 = 1, from the same latents on any schedule."""
    flow = FlowMatching()
    steps = path(schedule, times)
    oracle = TwoModeOracle(schedule, 0.9, 0.4, 0.3)
    first = steps[0].start
    x = latents_at(level_at(flow, times[0]), device=trial.device) * (
        _size(first) / _size(level_at(flow, times[0]))
    )
    trace = run(subject, steps, oracle, x).trace
    return [x / _size(step.end) for x, step in zip(trace, steps, strict=True)]


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
            x = latents_at(steps[0].start, device=trial.device)
            out = run(subject, steps, GaussianOracle(schedule, 0.4, 0.5), x).x
            trial.close(out, x, f"{where}, t {t:g}", 1e-9)


@check("solver")
def finite_on_any_walk(subject: Any, trial: Trial) -> None:
    """No NaN or infinity on any walk over any schedule, sigma = 0, alpha = 0 and equal levels among its stops."""

    def walk(on: int, times: tuple[float, ...]) -> None:
        schedule = SCHEDULES[on]
        # Times that no grid has (1e-194) are left out: squares of them are 0.
        steps = path(schedule, [round(t, 6) for t in times])
        out = run(
            subject, steps, TwoModeOracle(schedule, 0.9, 0.4), latents_at(steps[0].start, device=trial.device)
        )
        for step, x in zip(steps, out.trace, strict=True):
            assert x.isfinite().all(), f"not finite after t {step.start.t:g} to {step.end.t:g}"

    # Both ends of each schedule, whatever is drawn.
    trial.each([{"on": on, "times": (1.0, 0.6, 0.6, 0.0, 0.3)} for on in range(len(SCHEDULES))], walk)
    trial.given(on=indices(len(SCHEDULES)), times=grids(2, 7, falling=False))(walk)


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
        assert out.x.device == x.device, f"x on {x.device} came back on {out.x.device}"
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
                x = torch.zeros(1, 1, 1, 1, 1, dtype=dtype, device=trial.device)

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
        x = latents_at(steps[0].start, device=trial.device).bfloat16()

        def draw(index: int, key: str, x: Tensor = x) -> Tensor:
            return keyed_draw(x.double(), index, key).bfloat16()

        def wide(index: int, key: str, draw: Any = draw) -> Tensor:
            return draw(index, key).double()  # type: ignore[no-any-return]

        got = run(subject, steps, oracle, x, draw).x
        expected = run(subject, steps, oracle, x.double(), wide).x
        allowed = of_solver(subject, steps[0])
        trial.close(got, expected, f"x after {ends(steps[0])}, in bfloat16 and in double", allowed)


@check("solver")
def rows_of_a_batch_are_apart(subject: Any, trial: Trial) -> None:
    """A clip comes out of a batch bit for bit as it does alone."""
    schedule = TabulatedSchedule.scaled_linear()
    steps = path(schedule, (0.95, 0.7, 0.75, 0.4, 0.0))

    @trial.fewer(10).given(shape=trial.shapes(batch=(3,)), seed=st.integers(0, 99))
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
            weights = {names[0]: share, names[1]: 1.0 - share}
            return {name: weight for name, weight in weights.items() if weight}

        steps = path(schedule, even(0.95, 0.1, 8), who)
        return run(
            subject,
            steps,
            dict(zip(names, oracles, strict=True)),
            latents_at(steps[0].start, device=trial.device),
        ).x

    expected = result(("video", "image"))
    for names in (("image", "video"), ("b", "a")):
        trial.same(result(names), expected, f"experts named {names}")


vary("solver")
