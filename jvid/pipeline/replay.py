"""A plan from a file in place of the strategy's own: checked against a pair before a network is loaded.

The plan stands for what draws one: selector, grid, steps and plan seed. All else is the strategy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.plan import Plan
    from jvid.core.protocols import NoiseSchedule
    from jvid.strategy.strategy import Strategy

__all__ = ["replayed"]


def replayed(strategy: Strategy, plan: Plan, schedule: NoiseSchedule) -> tuple[Strategy, Plan]:
    """The strategy that asks the plan's experts at its times, and the plan on a pair's schedule.

    Raises:
        InputError: experts that a pair has not, levels of another schedule, or a plan that does not end clean.
    """
    from jvid.core.planning import on_schedule
    from jvid.ensemble import EXPERTS
    from jvid.strategy.choice import Choice

    asked = dict.fromkeys(name for step in plan.steps for name in step.weights)
    if unknown := [name for name in asked if name not in EXPERTS]:
        raise InputError(
            f"the plan asks for {', '.join(map(repr, unknown))}: expected the experts of the pair, {', '.join(EXPERTS)}"
        )
    plan = on_schedule(plan, schedule)
    end = plan.steps[-1].end.t
    if end != 0.0:
        raise InputError(f"the plan ends at t {end:g}: expected 0, where clips are clean")
    times = [*(step.start.t for step in plan.steps), end]
    changed = attrs.evolve(
        strategy,
        selector=Choice("table", {"rows": [dict(step.weights) for step in plan.steps]}),
        grid=Choice("explicit", {"times": times}),
        steps=len(plan),
        plan_seed=plan.seed,
    )
    return changed, plan
