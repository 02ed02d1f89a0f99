"""``jvid plan``: who predicts at each step, printed and plotted; no network is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvid.cli import strategies as options

if TYPE_CHECKING:
    from jvid.protocols import NoiseSchedule

__all__ = ["plan"]

Outputs = Annotated[
    list[Path] | None,
    typer.Option("-o", "--output", metavar="FILE", help="Plot (.png, .svg, .pdf) or values (.json); may be repeated."),
]  # fmt: skip


def plan(
    output: Outputs = None,
    pair: options.PairName = None,
    paper: options.Paper = None,
    steps: options.Steps = None,
    selector: options.Selector = None,
    grid: options.Grid = None,
    plan_seed: options.PlanSeed = None,
) -> None:
    """Print and plot who predicts at each step, without running a network.

    With --paper, or --pair none, the paper's own schedule is used and no pair is needed.
    """
    from rich.console import Console

    from jvid.choices import Choice
    from jvid.media.files import check_path, whole_file
    from jvid.strategy import Strategy

    paths = [check_path(path, (".png", ".svg", ".pdf", ".json")) for path in output or ()]
    schedule: NoiseSchedule | None = None
    if pair == "none" or (pair is None and paper is not None):
        base = Strategy.paper(64 if paper is None else paper)
    else:
        loaded = Choice.parse(pair or "actions-64").load("pair")
        base = loaded.strategy if paper is None else Strategy.paper(paper)
        schedule = loaded.schedule
    strategy = options.changed(base, steps=steps, selector=selector, grid=grid, plan_seed=plan_seed)
    drawn = strategy.plan(schedule)
    Console().print(drawn)
    for path in paths:
        if path.suffix.lower() == ".json":
            with whole_file(path) as part:
                part.write_text(json.dumps(drawn.to_dict(), indent=1) + "\n", encoding="utf-8")
        else:
            from jvid.plotting import plot_plan

            plot_plan(drawn, path)
        typer.echo(str(path))
