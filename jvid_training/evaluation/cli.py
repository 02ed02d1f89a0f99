"""``jvid evaluate``: metrics of sets of clips as a table and JSON."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jvid.cli.groups import expanded
from jvid.cli.progress import progress_bar
from jvid.cli.summary import AsJson, print_json
from jvid.errors import InputError, UnknownNameError
from jvid.extras import extra

if TYPE_CHECKING:
    from rich.table import Table

    from jvid_training.evaluation.figures import EvaluationResult, Figure
    from jvid_training.evaluation.sources import ClipSource, RealClips

__all__ = ["evaluate", "table"]

NETWORKS = ("i3d", "efficientnet-lite0")


@extra("training")
@expanded
def evaluate(
    sets: Annotated[
        list[str],
        typer.Argument(
            metavar="SET...",
            help="Folders of `jvid generate`, or of videos; codec:NAME is the reference through a codec or an ensemble's; "
            "real:held-out, real:training its clips of these actors.",
        ),
    ],
    reference: Annotated[
        str, typer.Option("--reference", "-r", help="Real clips: a recipe (TOML), or a folder of `jvid encode`.")
    ],
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="Compute all metrics of these features (jvid names features), such as i3d, i3d:PATH or torchscript:PATH; may "
            "be repeated. Default: i3d and efficientnet-lite0."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:A=1",
            help="A metric (jvid names metric), such as fid:features=i3d-frame; may be repeated. Default: those of --network.",
        ),
    ] = None,
    codec_floor: Annotated[
        list[str] | None,
        typer.Option(help="A codec (taesd), or an ensemble's, whose floor is shown beside; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File of JSON for all figures.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps features; without it they are not kept.")] = None,
    actors: Annotated[
        Literal["all", "training", "held-out"],
        typer.Option(help="Whose clips of the reference: all, or those that the models were trained on or not."),
    ] = "all",
    windows: Annotated[int, typer.Option(min=1, max=10_000, help="Windows of a video of the reference, at random offsets.")] = 1,
    bootstrap: Annotated[int, typer.Option(min=0, max=1_000_000, help="Resamplings behind an interval; 0 for none.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the windows and the resampling.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the processor.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Figures of clips against real ones: FVD, FID, IS, flicker, agreement of frames, action recognised, or any metric.

    Names of figures state departures from the protocol. In brackets: 95 % intervals over clips.
    """
    from rich.console import Console

    from jvid.files import check_apart, check_file
    from jvid_training.evaluation.cache import FeatureCache
    from jvid_training.evaluation.evaluating import evaluate as run
    from jvid_training.evaluation.evaluating import real_floor, recogniser_of
    from jvid_training.evaluation.figures import save
    from jvid_training.evaluation.measurement import bound
    from jvid_training.evaluation.metrics import default_metrics, joined, load_metrics
    from jvid_training.evaluation.networks import load_network
    from jvid_training.evaluation.sources import Coded, check_agreement, real_clips
    from jvid_training.jobs.threads import limit_threads

    if out is not None:
        check_apart([check_file(out, parents=True)], [reference, *sets])
    limit_threads(threads)
    console = Console()
    real = real_clips(reference, windows=windows, seed=seed, actors=actors)
    sources = [_source(name, real, reference, windows, seed) for name in sets]
    codecs = {f"codec {name}": Coded(real, _codec(name, real), f"codec:{name}") for name in codec_floor or ()}
    for source in sources:
        check_agreement(source, real)
    networks = [load_network(text) for text in dict.fromkeys(network or (() if metric else NETWORKS))]
    metrics = bound(joined(default_metrics(networks) if networks else (), load_metrics(metric or ())))

    with _progress() as progress:
        store = FeatureCache(cache, progress)
        recogniser = recogniser_of(metrics, real, store)
        floors: dict[str, Mapping[str, Figure]] = {
            "real": real_floor(real, metrics=metrics, cache=store, seed=seed)
        }
        options: dict[str, Any] = {"metrics": metrics, "cache": store, "bootstrap": bootstrap, "seed": seed}
        with _one_line():
            for name, coded in codecs.items():
                floors[name] = _by_base(run(coded, real, floors={}, **options))
            done: list[EvaluationResult] = []
            for source in sources:
                done.append(run(source, real, floors=floors, **options))
                if out is not None:  # after each set: what is finished is kept
                    save(done, out)
    if as_json:
        print_json(
            {"file": None if out is None else str(out), "evaluations": [one.to_dict() for one in done]}
        )
        return
    console.print(table(done, {each.name: each.metric.unit for each in metrics}))
    if recogniser is not None:
        (left, of_left), (held, of_held) = recogniser.left_out, recogniser.held_out
        others = f", {held} of {of_held} of the actors held out" if of_held else ""
        console.print(
            f"action classifier on real clips: {left} of {of_left} right with the actor left out{others}",
            highlight=False,
        )
    if out is not None:
        typer.echo(str(out))


def table(evaluations: Sequence[EvaluationResult], units: Mapping[str, str] | None = None) -> Table:
    """A row for each figure, with its unit by base name and its direction; a column for each floor and source."""
    from rich.table import Table

    from jvid_training.evaluation.figures import ARROWS, base_of

    shown = Table(
        caption=r"\[low, high]: 95 % over clips; of IS one deviation; of real against real the range"
    )
    shown.add_column("figure")
    floors = list(evaluations[0].floors)
    for name in floors:
        shown.add_column("real against real" if name == "real" else name, justify="right", style="dim")
    for one in evaluations:
        shown.add_column(f"{one.source}\n{one.clips} clips", justify="right")
    names = dict.fromkeys(base_of(name) for one in evaluations for name in one.figures)
    for name in names:
        full = {f for one in evaluations for f in one.figures if base_of(f) == name}
        cells = [evaluations[0].floors[floor].get(name) for floor in floors]
        cells += [one[name] if name in map(base_of, one.figures) else None for one in evaluations]
        # Where the numbers of clips differ, the columns' heads have them.
        label = full.pop() if len(full) == 1 else name
        unit = (units or {}).get(name, "")
        better = next((figure.better for figure in cells if figure is not None and figure.better), None)
        arrow = f" {ARROWS[better]}" if better else ""
        shown.add_row(f"{label}{arrow}{', ' if unit else ''}{unit}".replace("[", r"\["), *map(_cell, cells))
    return shown


def _cell(figure: Figure | None) -> str:
    from jvid_training.evaluation.figures import number

    if figure is None:
        return "-"
    value = number(figure.value)
    if figure.low is None or figure.high is None:
        return value
    return rf"{value} \[{number(figure.low)}, {number(figure.high)}]"


def _by_base(evaluation: EvaluationResult) -> dict[str, Figure]:
    from jvid_training.evaluation.figures import base_of

    return {base_of(name): figure for name, figure in evaluation.figures.items()}


def _source(name: str, real: RealClips, reference: str, windows: int, seed: int) -> ClipSource:
    from jvid_training.evaluation.sources import Coded, real_clips
    from jvid_training.evaluation.video_files import VideoFiles, video_files
    from jvid_training.generation.sets import ClipSet
    from jvid_training.generation.spec import NAME as SET

    kind, _, rest = name.partition(":")
    if kind == "codec" and rest:
        return Coded(real, _codec(rest, real), name)
    if kind == "real" and rest in ("held-out", "training"):
        return real_clips(reference, windows=windows, seed=seed, actors=rest)
    if not (Path(name) / SET).is_file() and (files := video_files(name)):
        return VideoFiles(Path(name).name, files, real)
    return ClipSet.open(name, name=Path(name).name)


def _codec(name: str, real: RealClips) -> Any:
    """A registered codec, normalised as the reference's latents are, or that of an ensemble.

    Raises:
        InputError: neither, or options that it refuses.
    """
    from jvid.ensemble.source import Source
    from jvid.plugins.choice import Choice
    from jvid.plugins.options import parameters
    from jvid.plugins.registry import current

    registry, choice = current(), Choice.parse(name)
    try:
        codec = registry.find("codec", choice.name)
    except UnknownNameError:
        try:
            return Source(name).load().codec
        except UnknownNameError:
            known = ", ".join([*registry.names("codec"), *registry.names("ensemble")])
            raise InputError(
                f"no codec or ensemble {name!r}: expected one of {known}, or an ensemble's folder"
            ) from None
    statistics = {"mean": real.manifest.mean, "std": real.manifest.std}
    known_options = parameters(codec.factory())
    return registry.build(
        "codec", choice, **{key: value for key, value in statistics.items() if key in known_options}
    )


@contextmanager
def _one_line() -> Iterator[None]:
    """Warnings as lines on standard error, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        typer.echo(f"warning: {text}", err=True)


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    with progress_bar("clips") as bar:

        def show(done: int, total: int, name: str) -> None:
            bar.update(done, total, f"features of {name}", row=name)
            bar.minutely(f"features of {name}: {done}/{total} clips")

        yield show
