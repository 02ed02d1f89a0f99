"""A plan from a file in place of the strategy's own: checked against an ensemble before a network is loaded.

The plan replaces what draws one: selector, grid, steps and plan seed. All else is the strategy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid.plugins.choice import Choice

if TYPE_CHECKING:
    from jvid.core.plan import Plan
    from jvid.ensemble.ensemble import Ensemble
    from jvid.strategy.strategy import Strategy

__all__ = ["replayed"]


def replayed(strategy: Strategy, plan: Plan, ensemble: Ensemble) -> tuple[Strategy, Plan]:
    """The strategy that evaluates the plan's experts at its times, and the plan on the reference schedule.

    Raises:
        InputError: experts that the ensemble does not have, levels of another schedule, or a plan that does not end clean.
    """
    from jvid.core.planning import on_schedule
    from jvid.ensemble.compose import Composition

    evaluated = dict.fromkeys(name for step in plan.steps for name in step.weights)
    ensemble.check_expert_names(evaluated, "the plan")
    plan = on_schedule(plan, Composition(strategy, ensemble).schedule)
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
