"""``jvid compare``: one prompt and seed by several strategies and by each expert alone, as a picture that plays."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jvid.cli.devices import Device, Dtype, Offloading, Threads, check_dtype, check_offload
from jvid.cli.ensembles import EnsembleOptions, default_source
from jvid.cli.groups import expanded
from jvid.cli.imports import import_torch
from jvid.cli.strategies import PANEL, StrategyOptions, check_overlap, labelled
from jvid.cli.summary import AsJson, print_json
from jvid.errors import InputError, located
from jvid.media.files import endings

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.pipeline.compare import Comparison
    from jvid.strategy.strategy import Strategy

__all__ = ["compare"]

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What the clips show.")]
Outputs = Annotated[
    list[Path],
    typer.Option(
        "-o", "--output", metavar="FILE",
        help=f"Playing ({', '.join(endings('clip'))}) or as a still ({', '.join(endings('sheet'))}). May be repeated.",
    ),
]  # fmt: skip
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy", metavar="[LABEL=]FILE", rich_help_panel=PANEL,
        help="A column of the strategy of this file of JSON; its name is the label where none is given. May be repeated.",
    ),
]  # fmt: skip
Paper = Annotated[
    list[int] | None,
    typer.Option(
        "--paper", metavar="64|128|256", rich_help_panel=PANEL,
        help="A column of the paper's strategy for this size of frame. May be repeated.",
    ),
]  # fmt: skip
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of every column.")]
Frames = Annotated[
    int | None, typer.Option("--frames", metavar="N", help="Frames of a clip (default: the ensemble's).")
]
Scale = Annotated[
    int | None,
    typer.Option("--scale", min=1, max=64, help="Enlargement, pixel by pixel (default: up to 256 pixels; stills: 128)."),
]  # fmt: skip
Rows = Annotated[int, typer.Option("--rows", min=1, help="Frames of each clip in a still.")]


@expanded
def compare(
    prompt: Prompt,
    *,
    output: Outputs,
    strategies: Strategies = None,
    paper: Paper = None,
    seed: Seed = 0,
    frames: Frames = None,
    ensemble: EnsembleOptions,
    changes: StrategyOptions,
    device: Device = "cpu",
    dtype: Dtype = None,
    offload: Offloading = None,
    threads: Threads = None,
    scale: Scale = None,
    rows: Rows = 4,
    as_json: AsJson = False,
) -> None:
    """Compare strategies and each expert alone: a labelled column each, above its plan coloured by expert.

    Without --strategy or --paper, the ensemble's recommended strategy is compared with its experts. Options that change a
    strategy change every one.
    """
    import_torch()
    from jvid.cli.progress import steps_bar
    from jvid.files import check_apart
    from jvid.machine.device import prepare
    from jvid.media import check_library, check_path
    from jvid.pipeline.compare import compare as sampled
    from jvid.pipeline.compare import with_experts_alone
    from jvid.pipeline.record import Clip, untested_of, versions
    from jvid.pipeline.weights import stays_on_host
    from jvid.pipeline.write import targets

    for path, _ in targets(output, 1):  # before anything is sampled
        check_library(check_path(path, "clip", "sheet"))
    check_dtype(dtype)
    check_offload(offload)
    stated = _stated(strategies or [], paper or [])
    taken = prepare(device, threads)
    source = ensemble.source() or default_source()
    check_apart(output, [*source.input_paths, *labelled(strategies or [], "--strategy").values()])
    models = source.load(device, dtype or "float32", host=stays_on_host(offload))
    used = {
        label: changes.changed(strategy, models)
        for label, strategy in (stated or _recommended(models)).items()
    }
    check_apart(output, [path for each in used.values() for path in each.input_paths])
    check_overlap(changes.overlap, models, frames)
    columns = with_experts_alone(used, models)
    clip = Clip(prompt, seed)
    started = time.perf_counter()
    with steps_bar() as advance:
        found = sampled(models, columns, clip, device, frames=frames, offload=offload, advance=advance)
    seconds = time.perf_counter() - started
    metadata = {
        "comparison": 1, "ensemble": source.to_plain(), "clips": [{"prompt": prompt, "seed": seed}],
        "columns": [{"label": each.label, "strategy": each.strategy.to_dict()} for each in found],
        "frames": frames, "dtype": dtype or "float32", "device": device, "threads": taken,
        "versions": versions(), "created_by": "jvid compare", **untested_of(models),
    }  # fmt: skip
    for path in output:
        _write(path, f"{prompt} (seed {seed})", found, models, scale, rows, metadata)
    _summary(found, clip.prompt or "", seed, seconds, output, as_json)


def _stated(strategies: list[str], paper: list[int]) -> dict[str, Strategy]:
    """The strategies that the options name, by label; a file that is none is reported before anything loads."""
    from jvid import paper as papers
    from jvid.strategy.strategy import Strategy

    found = {label: Strategy.load(path) for label, path in labelled(strategies, "--strategy").items()}
    for size in dict.fromkeys(paper):
        label = f"Table 6 at {size}"
        if label in found:
            raise InputError(f"--paper {size} beside --strategy {label}=: expected another label")
        found[label] = papers.strategy(size)
    return found


def _recommended(ensemble: Ensemble) -> dict[str, Strategy]:
    """The recommended strategy, labelled as what it is."""
    from jvid.ensemble.compose import Composition
    from jvid.strategy.simple import simple

    strategy = ensemble.strategy or simple(ensemble.experts)
    with located("the recommended strategy"):
        experts = Composition(strategy, ensemble).experts
    return {"mixture" if len(experts) > 1 else "recommended": strategy}


def _write(
    path: Path, title: str, found: list[Comparison], ensemble: Ensemble, scale: int | None, rows: int,
    metadata: dict[str, Any],
) -> None:  # fmt: skip
    from jvid.media.files import format_of
    from jvid.media.writing import default_scale, write_video
    from jvid.views.comparison import Column, playing, still

    columns = [Column(each.label, each.frames, each.plan) for each in found]
    factor = scale or default_scale(path.suffix.lower(), *found[0].frames.shape[1:3])
    if format_of(path).holds == "clip":
        page = playing(title, columns, ensemble.experts, factor)
    else:
        page = still(title, columns, ensemble.experts, factor, rows)
    write_video(path, page, ensemble.fps, metadata, scale=1)


def _summary(
    found: list[Comparison], prompt: str, seed: int, seconds: float, files: list[Path], as_json: bool
) -> None:
    if as_json:
        columns = [
            {
                "label": each.label,
                "experts": [dict(step.weights) for step in each.plan.steps],
                "calls": dict(each.made.calls),
                "seconds": {name: round(value, 6) for name, value in each.made.seconds.items()},
                "strategy": each.strategy.to_dict(),
            }
            for each in found
        ]
        print_json(
            {
                "prompt": prompt,
                "seed": seed,
                "columns": columns,
                "seconds": round(seconds, 6),
                "files": [str(path) for path in files],
            }
        )
        return
    width = max(len(each.label) for each in found)
    for each in found:
        calls = ", ".join(f"{name} {count}" for name, count in each.made.calls.items() if count)
        typer.echo(f"{each.label:>{width}}  {sum(each.made.seconds.values()):7.2f} s  calls: {calls}")
    typer.echo(f"seed {seed}, {len(found)} columns, {seconds:.1f} s with decoding")
    for path in files:
        typer.echo(str(path))
