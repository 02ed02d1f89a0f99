"""Drawing a plan: levels from a grid, weights from a selector, both checked once.

level_i = schedule(grid_i) in float64
weights_i = selector(step_i, u_i),   u_i keyed by (plan seed, i); zeros are dropped
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from jvid.core.keyed import check_seeds, keyed_uniforms
from jvid.core.plan import Plan
from jvid.core.protocols import DeclaresExperts, DeclaresShares, Level, Step
from jvid.core.provenance import annotate
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import NoiseSchedule, Selector

__all__ = ["SMALLEST", "check_names", "describe", "draw_plan", "levels_of", "on_schedule"]

SMALLEST = 1e-30
"""The least alpha and sigma above 0: float32 holds their quotients with latents, and float64 their squares."""


def check_names(names: Iterable[str], experts: Iterable[str], who: object) -> None:
    """Refuse names that no expert has; the message lists both."""
    known = list(experts)
    if unknown := sorted(set(names).difference(known)):
        raise InputError(
            f"{type(who).__name__} names {', '.join(map(repr, unknown))}: "
            f"expected experts among {', '.join(map(repr, known))}"
        )


def levels_of(
    grid: Sequence[float] | Callable[[NoiseSchedule], Sequence[float]], schedule: NoiseSchedule
) -> tuple[Level, ...]:
    """The levels of a grid on a schedule, in double precision; they need not fall.

    Raises:
        InputError: a grid without times from 0 to 1, fewer than two of them, or a level too small to compute with.
    """
    import torch

    given: Any = grid(schedule) if callable(grid) and not isinstance(grid, type) else grid
    try:
        times = [float(t) for t in given]
    except (TypeError, ValueError):
        raise InputError(
            f"grid {given!r}: expected times from 1 (noise) to 0 (clean), or what gives them, such as Leading(50)"
        ) from None
    if len(times) < 2 or not all(0.0 <= t <= 1.0 for t in times):
        raise InputError(f"grid {times}: expected at least two times, each from 0 (clean) to 1 (noise)")
    alpha, sigma = schedule(torch.tensor(times, dtype=torch.float64))
    levels = tuple(map(Level, times, alpha.tolist(), sigma.tolist()))
    for level in levels:
        _check_size(level)
    return levels


def _check_size(level: Level) -> None:
    """Refuse a level of which a solver's coefficients would not be finite, in latents of float32 too."""
    for name, value in (("alpha", level.alpha), ("sigma", level.sigma)):
        if value and not SMALLEST <= value <= 1 / SMALLEST:
            raise InputError(
                f"{name} is {value:g} at t {level.t:g}: expected 0, or from {SMALLEST:g} to {1 / SMALLEST:g}, so that latents "
                "can be computed; change the grid"
            )


def describe(selector: Any) -> dict[str, Any]:
    """A selector's class, parameters and experts as plain values, for a plan to keep."""
    values: dict[str, Any] = {"name": type(selector).__name__}
    if attrs.has(type(selector)):
        fields = {field.name: getattr(selector, field.name) for field in attrs.fields(type(selector))}
        values |= {key: _plain(value) for key, value in fields.items() if _is_plain(value)}
    if isinstance(selector, DeclaresExperts) and selector.experts:
        values["experts"] = list(selector.experts)
    return values


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float)


def _plain(value: Any) -> Any:
    # A list, as JSON has it: a plan that was read from a file equals the one that was written.
    return list(map(_plain, value)) if isinstance(value, (tuple, list)) else value


def draw_plan(
    selector: Selector,
    levels: Sequence[Level],
    experts: Sequence[str],
    seed: int,
    schedule: NoiseSchedule | None = None,
) -> Plan:
    """Draw a plan: evaluate the selector once a step, on a number keyed by the plan seed and the step."""
    try:
        (seed,) = check_seeds([seed])
    except InputError:
        raise InputError(f"plan seed {seed!r}: expected a non-negative integer") from None
    steps: list[Step] = []
    count = len(levels) - 1
    before: frozenset[str] | None = None
    for index, u in enumerate(keyed_uniforms(seed, ("plan",), count)):
        start, end = levels[index], levels[index + 1]
        step = Step(index, count, start, end, schedule=schedule)
        try:
            given = selector(step, u)
        except Exception as error:
            annotate(error, f"the selector at step {index + 1} of {count}, t {start.t:.6g}", selector)
            raise
        weights = _weights(given, experts, selector)
        switched = before is not None and before != weights.keys()
        before = frozenset(weights)
        steps.append(Step(index, count, start, end, weights, switched, schedule))
    return Plan(tuple(steps), seed, tuple(experts), _shares(selector, steps, experts), describe(selector))


def on_schedule(plan: Plan, schedule: NoiseSchedule) -> Plan:
    """The plan with its steps on ``schedule``: one that was read from a file knows none.

    Raises:
        InputError: its levels are another schedule's, or too small to compute with; the message names the first of them.
    """
    import torch

    if all(step.schedule is schedule for step in plan.steps):
        return plan
    levels = list(dict.fromkeys(level for step in plan.steps for level in (step.start, step.end)))
    if wrong := next((level for level in levels if not 0.0 <= level.t <= 1.0), None):
        raise InputError(f"the plan has a step at t {wrong.t:g}: expected times from 0 (clean) to 1 (noise)")
    alphas, sigmas = schedule(torch.tensor([level.t for level in levels], dtype=torch.float64))
    for level, alpha, sigma in zip(levels, alphas.tolist(), sigmas.tolist(), strict=True):
        if not (_near(level.alpha, alpha) and _near(level.sigma, sigma)):
            raise InputError(
                f"the plan is of another schedule: at t {level.t:g} it has alpha {level.alpha:.9g}, sigma {level.sigma:.9g}; "
                f"expected alpha {alpha:.9g}, sigma {sigma:.9g} of {type(schedule).__name__}: replay it with the "
                "strategy that it was drawn for, or draw another from its seed"
            )
    for level in levels:
        _check_size(level)
    return attrs.evolve(plan, steps=tuple(attrs.evolve(step, schedule=schedule) for step in plan.steps))


def _near(got: float, expected: float) -> bool:
    # NaN is near to nothing.
    return abs(got - expected) <= 1e-9 * max(1.0, abs(expected))


def _shares(
    selector: Any, steps: Sequence[Step], experts: Sequence[str]
) -> tuple[dict[str, float], ...] | None:
    """The shares that the selector declares for each step; None where it declares none."""
    if not isinstance(selector, DeclaresShares):
        return None
    declared = [selector.shares(step) for step in steps]
    check_names({name for shares in declared for name in shares}, experts, selector)
    return tuple({name: float(share) for name, share in shares.items()} for shares in declared)


def _weights(weights: Mapping[str, float], experts: Sequence[str], selector: object) -> dict[str, float]:
    if not all(name in experts for name in weights):
        check_names(weights, experts, selector)
    if len(weights) == 1 and 1.0 in weights.values():  # a choice, as most steps are
        return dict.fromkeys(weights, 1.0)
    if not all(0.0 <= weight < math.inf for weight in weights.values()) or not math.isclose(
        sum(weights.values()), 1.0, abs_tol=1e-6
    ):
        raise InputError(
            f"{type(selector).__name__} gave {dict(weights)}: expected weights >= 0 that sum to 1"
        )
    # In the experts' order, whatever that of the mapping: predictions are summed and ties are broken in it.
    return {name: float(weights[name]) for name in experts if weights.get(name, 0.0) > 0.0}
