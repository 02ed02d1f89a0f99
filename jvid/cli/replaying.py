"""A plan from a file in place of the strategy's own: checked against a pair before a network is loaded.

The plan stands for what draws one: selector, grid, steps and plan seed. All else is the strategy's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.plan import Plan
    from jvid.protocols import NoiseSchedule
    from jvid.strategy import Strategy

__all__ = ["PlanFile", "check_alone", "replayed"]

PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan", metavar="FILE", rich_help_panel="Strategy (the pair's recommended one where nothing is said)",
        help="Replay the plan that jvid plan -o FILE.json wrote, instead of drawing one.",
    ),
]  # fmt: skip


def check_alone(
    beside: str, steps: object = None, grid: object = None, selector: object = None, plan_seed: object = None
) -> None:
    """Refuse what would draw another plan; ``beside`` names the option that brings one.

    Raises:
        InputError: one of them was said.
    """
    given = {"--steps": steps, "--grid": grid, "--selector": selector, "--plan-seed": plan_seed}
    if said := [name for name, value in given.items() if value is not None]:
        raise InputError(f"{said[0]} beside {beside}: the plan in the file says it, leave it out")


def replayed(strategy: Strategy, plan: Plan, schedule: NoiseSchedule) -> tuple[Strategy, Plan]:
    """The strategy that asks the plan's experts at its times, and the plan on a pair's schedule.

    Raises:
        InputError: experts that a pair has not, levels of another schedule, or a plan that does not end clean.
    """
    from jvid.choices import Choice
    from jvid.pair import EXPERTS
    from jvid.planning import on_schedule

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
