"""The option ``--plan``: a plan from a file in place of the strategy's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvid.cli.strategies import PANEL, StrategyOptions
from jvid.errors import InputError

__all__ = ["PlanFile", "check_alone"]

PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan", metavar="FILE", rich_help_panel=PANEL,
        help="Replay the plan that jvid plan -o FILE.json wrote, instead of drawing one.",
    ),
]  # fmt: skip


def check_alone(beside: str, changes: StrategyOptions) -> None:
    """Refuse options that would draw another plan; ``beside`` names the option that brings one.

    Raises:
        InputError: one of them was given.
    """
    names = {"--steps": "steps", "--grid": "grid", "--selector": "selector", "--plan-seed": "plan_seed"}
    if given := [option for option, name in names.items() if getattr(changes, name) is not None]:
        raise InputError(f"{given[0]} beside {beside}: the plan in the file states it, leave it out")
