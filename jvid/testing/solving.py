"""Helpers of the checks of solvers and selectors: steps of a walk, recorded runs, exact moments, a reference for the ODE.

Seen by a solver with a Gaussian oracle, everything is affine: the last x is c + p x_T + sum_k q_k z_k, element by
element. One run over elements (0; x_T = 1; z_1 = 1; z_2 = 1; ...) reads off all the coefficients, so mean and variance of a
stochastic solver's samples are known without sampling. What the probability-flow ODE does with any denoiser is
integrated by Runge-Kutta on flow matching, dx / dt = (x - x_0) / t, and rescaled: the ODE is the same on every schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.core.levels import level_at
from jvid.core.protocols import Denoiser, Level, NoiseSchedule, Step
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding

__all__ = [
    "F64", "ON", "WALK", "SolverRun", "Twin", "draws", "ends", "even", "even_walk", "keyed_draw", "latents_at", "moments", "path",
    "reference", "run",
]  # fmt: skip

F64 = torch.float64

ON: Mapping[str, NoiseSchedule] = {
    "a variance-preserving table": TabulatedSchedule.scaled_linear(),
    "flow matching": FlowMatching(),
    "variance exploding": VarianceExploding(0.02, 20.0),
    "a table that ends in pure noise": TabulatedSchedule.scaled_linear().zero_terminal_snr(),
}
"""Where solvers are checked. The second and the last begin at alpha = 0."""

WALK = (1.0, 0.9, 0.72, 0.7, 0.5, 0.41, 0.55, 0.6, 0.3, 0.27, 0.1, 0.04)
"""Times: uneven, up again in between, short of the clean end."""

Who = Callable[[int, Level], Mapping[str, float]]
"""``(step index, start) -> weights``: a plan as a function."""
Draws = Callable[[int, str], Tensor]
"""``(step index, key) -> z (b c f h w)``."""


@attrs.frozen
class Twin:
    """A schedule's angles at the same times, on another scale: alpha^2 + sigma^2 = 1, or alpha = 1 ("exploding")."""

    of: NoiseSchedule
    exploding: bool = False

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """t ``(*)`` in [0, 1] -> ``alpha (*)``, ``sigma (*)``."""
        alpha, sigma = self.of(t)
        scale = alpha if self.exploding else torch.hypot(alpha, sigma)
        return alpha / scale, sigma / scale

    def time_at(self, angle: Tensor) -> Tensor:
        """Inverse of the angle ``(*)``."""
        return self.of.time_at(angle)


def even(high: float, low: float, count: int) -> list[float]:
    """``count`` steps of equal length from ``high`` to ``low``."""
    return [high + (low - high) * i / count for i in range(count + 1)]


def _one(index: int, start: Level) -> Mapping[str, float]:
    return {"one": 1.0}


@lru_cache(256)
def _levels(schedule: Any, times: tuple[float, ...]) -> tuple[Level, ...]:
    """The levels of a schedule, a value, at times; checks of one solver after another visit the same."""
    return tuple(level_at(schedule, t) for t in times)


def path(schedule: NoiseSchedule, times: Sequence[float], who: Who = _one) -> list[Step]:
    """The steps that visit the times, as a sampler's plan has them."""
    of: Any = schedule  # hashable, which mypy does not see
    levels = _levels(of, tuple(times))
    steps: list[Step] = []
    for index, (start, end) in enumerate(pairwise(levels)):
        weights = who(index, start)
        switched = bool(steps) and steps[-1].weights.keys() != weights.keys()
        steps.append(Step(index, len(levels) - 1, start, end, weights, switched, schedule))
    return steps


def even_walk(schedule: NoiseSchedule, count: int, most: int | None = None, power: float = 1.0) -> list[Step]:
    """The steps of a plan of ``count`` even ones, as a selector sees them, without weights; at most ``most``, spread over it.

    With another ``power`` of t they are not even: progress is another than index / count.
    """
    times = [t**power for t in even(1.0, 0.0, count)]
    steps = [attrs.evolve(step, weights={}) for step in path(schedule, times)]
    if most is None or count <= most:
        return steps
    return [steps[k * (count - 1) // (most - 1)] for k in range(most)]


def ends(step: Step) -> str:
    """Where a step goes, for a message."""
    return f"t {step.start.t:.3g} to {step.end.t:.3g}"


@attrs.define(eq=False)
class SolverRun:
    """The result of a run, with every evaluation and every draw that it made.

    Attributes:
        x: after the last step.
        memory: after it.
        evaluated: ``(step index, x, level)`` of each prediction, in order.
        drawn: ``(step index, key)`` of each draw, in order.
        seen: every tensor that the solver was handed, with a copy from then.
        trace: x after each step.
        copies: whether to keep ``evaluated`` and ``seen``.
    """

    x: Tensor
    memory: Any
    evaluated: list[tuple[int, Tensor, Level]] = attrs.field(factory=list)
    drawn: list[tuple[int, Any]] = attrs.field(factory=list)
    seen: list[tuple[str, Tensor, Tensor]] = attrs.field(factory=list)
    trace: list[Tensor] = attrs.field(factory=list)
    copies: bool = True

    def hand(self, what: str, value: Tensor) -> Tensor:
        """Keep a copy of a tensor that the solver gets, to see whether it writes on it."""
        if self.copies:
            self.seen.append((what, value, value.clone()))
        return value

    def advance(
        self, solver: Any, step: Step, experts: Mapping[str, Denoiser], draw: Draws | None = None
    ) -> SolverRun:
        """Take one step."""

        def denoise(x_t: Tensor, level: Level) -> Tensor:
            if self.copies:
                self.evaluated.append((step.index, x_t.clone(), level))
            t = torch.tensor(level.t, dtype=F64, device=x_t.device)
            parts = [weight * experts[name](x_t, t, {}) for name, weight in step.weights.items()]
            return self.hand("a prediction", sum(parts[1:], parts[0]))

        def noise(key: str) -> Tensor:
            self.drawn.append((step.index, key))
            z = keyed_draw(self.x, step.index, key) if draw is None else draw(step.index, key)
            return self.hand("noise", z)

        with torch.no_grad():
            self.hand("x", self.x)
            self.x, self.memory = solver.step(self.x, step, denoise, noise, self.memory)
        self.trace.append(self.x)
        return self


def keyed_draw(like: Tensor, index: int, key: str) -> Tensor:
    """Standard normal noise like x, by row, step and key."""
    return keyed_normal(range(like.shape[0]), (index, str(key)), like.shape[1:], like.dtype, like.device)


def run(
    solver: Any,
    steps: Sequence[Step],
    experts: Denoiser | Mapping[str, Denoiser],
    x: Tensor,
    draw: Draws | None = None,
    copies: bool = True,
) -> SolverRun:
    """All steps from x; one denoiser is used for every expert. Without ``copies``, ``evaluated`` and ``seen`` stay empty."""
    known = experts if isinstance(experts, Mapping) else dict.fromkeys(steps[0].weights, experts)
    out = SolverRun(x, solver.init(), copies=copies)
    for step in steps:
        out.advance(solver, step, known, draw)
    return out


def latents_at(
    level: Level, mean: float = 0.0, std: float = 1.0, count: int = 6, device: torch.device | str = "cpu"
) -> Tensor:
    """Points ``(1 1 1 1 count)`` spread over the marginal of N(mean, std^2) at a level, in float64."""
    spread = torch.linspace(-1.7, 1.9, count, dtype=F64).to(device)
    return (level.alpha * mean + math.hypot(level.alpha * std, level.sigma) * spread).reshape(1, 1, 1, 1, -1)


def draws(solver: Any, device: torch.device | str = "cpu") -> bool:
    """Whether a solver is stochastic: whether it draws noise where noise falls."""
    steps = path(FlowMatching(), even(0.9, 0.3, 3))
    return bool(run(solver, steps, _zero(steps), latents_at(steps[0].start, device=device)).drawn)


@attrs.frozen
class _Zero:
    schedule: NoiseSchedule

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        return 0.3 * x


def _zero(steps: Sequence[Step]) -> Denoiser:
    schedule = steps[0].schedule
    assert schedule is not None
    return _Zero(schedule)


def moments(
    solver: Any,
    steps: Sequence[Step],
    experts: Denoiser | Mapping[str, Denoiser],
    mean: float,
    variance: float,
    device: torch.device | str = "cpu",
) -> list[tuple[float, float]]:
    """Mean and variance of x after each step, of samples that begin with these; exact for affine denoisers."""
    room = 2 * len(steps)  # draws of a run, as far as one knows; elements without one stay as the first
    slots, trace = _effects(solver, steps, experts, room, device)
    if len(slots) > room:
        slots, trace = _effects(solver, steps, experts, len(slots), device)
    found = []
    for at in trace:
        assert at.isfinite().all(), "samples are not finite"
        effects = (at - at.flatten()[0]).flatten()[: 2 + len(slots)].cpu()
        spread = float(effects[1]) ** 2 * variance + float((effects[2:] ** 2).sum())
        found.append((float(at.flatten()[0] + effects[1] * mean), spread))
    return found


def _effects(
    solver: Any,
    steps: Sequence[Step],
    experts: Denoiser | Mapping[str, Denoiser],
    room: int,
    device: torch.device | str,
) -> tuple[Mapping[tuple[int, str], int], list[Tensor]]:
    """The element of each draw, and x after each step, of a run from (0; 1; 0; ...) with every draw 1 at its element."""
    slots: dict[tuple[int, str], int] = {}
    x = torch.zeros(1, 1, 1, 1, 2 + room, dtype=F64, device=device)
    x[..., 1] = 1.0

    def unit(index: int, key: str) -> Tensor:
        z = torch.zeros_like(x)
        slot = slots.setdefault((index, key), 2 + len(slots))
        if slot < 2 + room:
            z[..., slot] = 1.0
        return z

    return slots, run(solver, steps, experts, x, unit, copies=False).trace


def reference(
    x: Tensor, start: Level, end: Level, predict: Callable[[Tensor, float], Tensor], parts: int = 400
) -> Tensor:
    """Where the ODE takes x from ``start`` to ``end``; ``predict(x, t)`` is x_0 on ``FlowMatching()``."""
    flow = FlowMatching()

    def time(level: Level) -> float:
        return float(flow.time_at(torch.tensor(level.angle, dtype=F64)))

    def scale(level: Level) -> float:
        own = level_at(flow, time(level))
        return math.hypot(own.alpha, own.sigma) / math.hypot(level.alpha, level.sigma)

    def slope(y: Tensor, t: float) -> Tensor:
        return (y - predict(y, t)) / t

    t, last = time(start), time(end)
    h, y = (last - t) / parts, x * scale(start)
    for i in range(parts):
        at = t + i * h
        k1 = slope(y, at)
        k2 = slope(y + h / 2 * k1, at + h / 2)
        k3 = slope(y + h / 2 * k2, at + h / 2)
        k4 = slope(y + h * k3, at + h)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y / scale(end)
