"""The option that replays a plan from a file, and what it cannot be combined with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvid.errors import InputError

__all__ = ["PlanFile", "check_alone"]

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
