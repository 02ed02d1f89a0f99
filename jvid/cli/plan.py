"""``jvid plan``: who predicts at each step, printed, plotted and priced; no network is loaded unless it is timed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvid.cli import strategies as options
from jvid.cli.replaying import PlanFile, check_alone, replayed
from jvid.cli.running import Device, prepare
from jvid.errors import InputError
from jvid.extras import extra

if TYPE_CHECKING:
    from jvid.pair import Pair
    from jvid.protocols import NoiseSchedule

__all__ = ["plan"]

Outputs = Annotated[
    list[Path] | None,
    typer.Option("-o", "--output", metavar="FILE", help="Plot (.png, .svg, .pdf) or values (.json); may be repeated."),
]  # fmt: skip


Seconds = Annotated[
    str | None,
    typer.Option("--seconds", metavar="video=S,image=S", help="Seconds a call of each expert, to price the plan with."),
]  # fmt: skip
Time = Annotated[
    bool, typer.Option("--time", help="Measure the seconds: one clip, the median of three calls each.")
]


def plan(
    output: Outputs = None,
    pair: options.PairName = None,
    replay: PlanFile = None,
    paper: options.Paper = None,
    strategy: options.File = None,
    steps: options.Steps = None,
    selector: options.Selector = None,
    grid: options.Grid = None,
    plan_seed: options.PlanSeed = None,
    solver: options.Solver = None,
    guidance: options.Guidance = None,
    frames: options.Frames = None,
    overlap: options.Overlap = None,
    seconds: Seconds = None,
    measure: Time = False,
    device: Device = "cpu",
) -> None:
    """Print, plot and price who predicts at each step, without running a network.

    With --paper, or --pair none, the paper's own schedule is used and no pair is needed. A plan from a file is shown as it
    is; it is checked against a pair where one is named. Only --time runs the pair's networks.
    """
    from rich.console import Console

    from jvid.choices import Choice
    from jvid.cli.pricing import given_seconds, measured_seconds, price_table
    from jvid.media.files import check_path
    from jvid.pair import EXPERTS
    from jvid.plan import Plan
    from jvid.strategy import Strategy

    paths = [check_path(path, (".png", ".svg", ".pdf", ".json")) for path in output or ()]
    if any(path.suffix.lower() != ".json" for path in paths):
        with extra("media"):  # before anything is printed or measured
            import matplotlib  # noqa: F401
    if measure and (seconds is not None or pair == "none"):
        other = (
            "--pair none: it measures a pair's experts" if seconds is None else "--seconds: they say the same"
        )
        raise InputError(f"--time beside {other}, leave one out")
    costly = {"--guidance": guidance or None, "--frames": frames, "--overlap": overlap}
    if not measure and (said := [name for name, value in costly.items() if value is not None]):
        raise InputError(
            f"{said[0]} without --time: who predicts when does not depend on it, leave it out or add --time"
        )
    if measure:
        prepare(device)
    drawn: Plan | None = None
    if replay is not None:
        check_alone("--plan", steps, grid, selector, plan_seed)
        drawn = Plan.load(replay)
    loaded: Pair | None = None
    schedule: NoiseSchedule | None = None
    base = options.started(strategy, paper)
    if pair == "none" or (pair is None and not measure and (paper is not None or drawn is not None)):
        base = base or Strategy.paper()
    else:
        loaded = Choice.parse(pair or "actions-64").load("pair", **({"device": device} if measure else {}))
        base = base or loaded.strategy
        schedule = loaded.schedule
    used = options.changed(
        base, steps=steps, selector=selector, grid=grid, plan_seed=plan_seed, solver=solver, guidance=guidance,
        overlap=overlap,
    )  # fmt: skip
    if drawn is None:
        drawn = used.plan(schedule)
    elif schedule is not None:
        used, drawn = replayed(used, drawn, schedule)
    figures = {} if seconds is None else given_seconds(seconds, dict.fromkeys((*drawn.experts, *EXPERTS)))
    if measure and loaded is not None:
        shape = options.lengthened(loaded.shape, frames, overlap)
        figures = measured_seconds(used, drawn, loaded, device, shape)
    Console().print(drawn, "", price_table(drawn, used.solver.load("solver"), figures), sep="\n")
    for path in paths:
        if path.suffix.lower() == ".json":
            drawn.save(path)
        else:
            from jvid.plotting import plot_plan

            plot_plan(drawn, path)
        typer.echo(str(path))
