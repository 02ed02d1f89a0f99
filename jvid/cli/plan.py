"""``jvid plan``: which experts predict at each step, printed, plotted and priced.

Only ``--time`` reads weights: times, shapes and bytes are those of configurations, and a pipeline's code runs on shapes alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jvid.cli.devices import Device
from jvid.cli.ensembles import EnsembleOptions, default_source
from jvid.cli.groups import expanded
from jvid.cli.imports import import_torch
from jvid.cli.replaying import PlanFile, check_alone
from jvid.cli.strategies import StartOptions, StrategyOptions, check_overlap
from jvid.cli.summary import AsJson, print_json
from jvid.errors import InputError
from jvid.extras import extra
from jvid.media.files import PLOTS

if TYPE_CHECKING:
    from jvid.core.plan import Plan
    from jvid.ensemble.compose import Composition
    from jvid.ensemble.ensemble import Ensemble
    from jvid.pipeline.cost import Call
    from jvid.pipeline.memory import RunMemory
    from jvid.views.price_table import PriceRow

__all__ = ["plan"]

Outputs = Annotated[
    list[Path] | None,
    typer.Option("-o", "--output", metavar="FILE", help=f"Plot ({', '.join(PLOTS)}) or values (.json); may be repeated."),
]  # fmt: skip
Seconds = Annotated[
    str | None,
    typer.Option(
        "--seconds", metavar="video=S,image=S",
        help="Seconds a call of each expert takes, with its guidance, to price the plan with.",
    ),
]  # fmt: skip
Time = Annotated[
    bool,
    typer.Option("--time", help="Measure the seconds: one clip, the median of three calls of each kind."),
]
Frames = Annotated[
    int | None, typer.Option("--frames", metavar="N", help="Frames of a clip (default: the ensemble's).")
]


@expanded
def plan(
    *,
    output: Outputs = None,
    ensemble: EnsembleOptions,
    replay: PlanFile = None,
    start: StartOptions,
    changes: StrategyOptions,
    frames: Frames = None,
    seconds: Seconds = None,
    measure: Time = False,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Print, plot and price which experts predict at each step.

    With --paper or --ensemble none, the paper's own schedule is used and no ensemble is needed. A plan from a file is shown
    as it is; it is checked against an ensemble where one is named. Weights are read with --time alone, and where a
    pipeline's shapes depend on their values, with a warning.
    """
    import_torch()
    from jvid import paper
    from jvid.ensemble.compose import Composition
    from jvid.files import check_apart, check_file
    from jvid.machine.device import prepare
    from jvid.pipeline.cost import by_expert, calls_of, given_seconds, measured_seconds, scaled_seconds
    from jvid.pipeline.memory import is_loaded, memory_of
    from jvid.pipeline.offload import Offload
    from jvid.pipeline.replay import replayed
    from jvid.strategy.plan_file import load_plan, save_plan

    paths = [check_file(path, (*PLOTS, ".json")) for path in output or ()]
    if any(path.suffix.lower() != ".json" for path in paths):
        with extra("media"):  # before anything is printed or measured
            import matplotlib  # noqa: F401
    without = ensemble.ensemble == "none"
    if measure and (seconds is not None or without):
        other = (
            "--ensemble none: it measures an ensemble's experts"
            if seconds is None
            else "--seconds: they state the same"
        )
        raise InputError(f"--time beside {other}, leave one out")
    if frames is not None and not measure:
        raise InputError(
            "--frames without --time: who predicts when does not depend on it, leave it out or add --time"
        )
    source = None if without else ensemble.source()
    check_apart(paths, [*(source.input_paths if source else ()), replay, start.strategy])
    if measure:
        prepare(device)
    drawn: Plan | None = None
    if replay is not None:
        check_alone("--plan", changes)
        drawn = load_plan(replay)
    stated = start.started()
    models = None if without else _models(ensemble, start, drawn, measure, device)
    if models is not None:
        check_overlap(changes.overlap, models, frames)
    base = (stated or paper.strategy()) if models is None else start.of(models, stated)
    used = changes.changed(base, models)
    check_apart(paths, used.input_paths)
    if drawn is not None and models is not None:
        used, drawn = replayed(used, drawn, models)
    composition = Composition(used, models)
    if models is not None:
        composition.check_conditioners()
    if drawn is None:
        composition.check()
        drawn = composition.plan()
    calls = calls_of(composition, drawn, frames)
    figures: dict[Call, float] = {}
    if seconds is not None:
        known = dict.fromkeys([*drawn.experts, *(call.expert for call in calls)])
        figures = scaled_seconds(calls, given_seconds(seconds, known))
    if measure and models is not None:
        typer.echo("jvid: --time measures calls of networks, with their weights loaded", err=True)
        with Offload(composition, None, device, decoding=False):
            figures = measured_seconds(models, calls, device)
    memory = memory_of(composition, drawn, frames) if is_loaded(composition) else None
    rows = by_expert(calls, figures, drawn.experts)
    if as_json:
        print_json(_summary(drawn, composition, rows, memory, paths))
    else:
        _show(drawn, rows, memory)
    for path in paths:
        if path.suffix.lower() == ".json":
            save_plan(drawn, path)
        else:
            from jvid.views.plan_plot import plot_plan

            plot_plan(drawn, path)
        if not as_json:
            typer.echo(str(path))


def _models(
    options: EnsembleOptions, start: StartOptions, drawn: Plan | None, measure: bool, device: str
) -> Ensemble | None:
    """The ensemble whose plan is drawn; None where the paper's schedule will do and none was named."""
    source = options.source()
    if source is None and not measure and (start.paper is not None or drawn is not None):
        return None
    return (source or default_source()).load(device, weights=measure)


def _summary(
    drawn: Plan, composition: Composition, rows: list[PriceRow], memory: RunMemory | None, paths: list[Path]
) -> dict[str, Any]:
    seconds = [row.seconds for row in rows if row.calls]
    experts = {
        row.expert: {
            "steps": drawn.counts.get(row.expert, 0),
            "calls": row.calls,
            "evaluations": row.evaluations,
            "seconds_per_call": None if row.seconds is None else row.seconds / row.calls,
            "seconds": row.seconds,
        }
        for row in rows
    }
    return {
        "steps": len(drawn),
        "seed": drawn.seed,
        "experts": experts,
        "switches": sum(step.switched for step in drawn.steps),
        "seconds": None if None in seconds else sum(each for each in seconds if each is not None),
        "memory": None if memory is None else _bytes(memory),
        "strategy": composition.strategy.to_dict(),
        "files": [str(path) for path in paths],
    }


def _bytes(memory: RunMemory) -> dict[str, Any]:
    return {
        "experts": {row.expert: {"networks": row.networks, "encoders": row.encoders} for row in memory.rows},
        "decoder": memory.decoder,
        "at_once": dict(memory.peaks),
    }


def _show(drawn: Plan, rows: list[PriceRow], memory: RunMemory | None) -> None:
    from rich.console import Console

    from jvid.views.memory_table import memory_table, peaks_line
    from jvid.views.plan_table import plan_table
    from jvid.views.price_table import price_table

    parts = [plan_table(drawn), "", price_table(rows)]
    if memory is not None:
        parts += ["", memory_table(memory.rows), "", peaks_line(memory.peaks)]
    Console().print(*parts, sep="\n")
