"""`jvid encode RECIPE` and `jvid train RECIPE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvid.extras import extra

if TYPE_CHECKING:
    from jvid_training.train.trainer import Progress as Far

RecipeArgument = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="TOML file, such as recipes/actions-64/image.toml")
]


@extra("training")
def encode(recipe: RecipeArgument) -> None:
    """Encode the recipe's clips into latents, once, ahead of training."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import jvid
    from jvid_models.paths import shared_root
    from jvid_training.data import latents
    from jvid_training.recipe import load_recipe

    chosen = load_recipe(recipe)
    data = chosen.data
    root = Path(data.root)
    codec = jvid.load("codec", chosen.codec.name, **chosen.codec.options)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("clips", total=None)
        manifest = latents.encode(
            data,
            chosen.codec,
            root if root.is_absolute() else shared_root() / root,
            codec.encode,
            lambda done, total, clip: bar.update(task, completed=done, total=total, description=clip),
        )
    frames = sum(sequence.length for sequence in manifest.sequences)
    windows = sum(sequence.length - manifest.frames + 1 for sequence in manifest.sequences)
    clips = len({sequence.clip for sequence in manifest.sequences})
    skipped = len(manifest.skipped)
    typer.echo(f"{data.latents}: {clips} clips, {frames} frames, {windows} windows; {skipped} clips skipped")
    for reason in manifest.skipped.values():
        typer.echo(f"  skipped {reason}")


@extra("training")
def train(recipe: RecipeArgument) -> None:
    """Train the recipe's network; goes on from the last checkpoint when there is one."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from jvid_training.jobs.ranks import first_process
    from jvid_training.recipe import load_recipe
    from jvid_training.train.trainer import train as run

    chosen = load_recipe(recipe)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description} {task.completed}/{task.total}"),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(chosen.name, total=chosen.training.steps, figures="")

        def tell(progress: Far) -> None:
            figures = _figures(progress)
            bar.update(task, completed=progress.step, figures=figures)
            if not console.is_terminal:
                left = (progress.steps - progress.step) / progress.rate / 60
                console.print(
                    f"{chosen.name} {progress.step}/{progress.steps} {figures}, {left:.0f} min left",
                    highlight=False,
                    soft_wrap=True,
                )

        final = run(chosen, tell)
    if not first_process():
        return
    if final.name == "final":
        typer.echo(f"{chosen.name}: weights in {final}")
    else:
        typer.echo(f"{chosen.name}: stopped; its checkpoint is in {final}, the same command goes on from it")


def _figures(progress: Far) -> str:
    held_out = "" if progress.validation is None else f" held-out {progress.validation:.3f}"
    return f"loss {progress.loss:.3f}{held_out} {progress.rate:.2f}/s"


@extra("training")
def sheets(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the sheets.")],
    pair: Annotated[
        str, typer.Option(help="A registered pair, or an exported pair's folder.")
    ] = "actions-64",
    prefix: Annotated[str, typer.Option(help="Sheets are made of the prompts that begin so.")] = "A person",
    seed: Annotated[int, typer.Option(min=0, help="Of the first prompt; the next takes the next.")] = 0,
    ending: Annotated[str, typer.Option(help=".png, .jpg or .webp")] = ".png",
    strategy: Annotated[
        Path | None, typer.Option(help="JSON of a strategy; the pair's own when absent.")
    ] = None,
) -> None:
    """Contact sheets of a strategy and the parts it is made of, one per prompt (Table 2's rows)."""
    import jvid
    from jvid.strategy.strategy import Strategy
    from jvid_training.sheets import make_sheets

    files = make_sheets(
        jvid.load("pair", pair),
        out,
        prefix,
        seed,
        ending,
        lambda row: typer.echo(f"sampling: {row}", err=True),
        None if strategy is None else Strategy.load(strategy),
    )
    for file in files:
        typer.echo(str(file))


@extra("training")
def export(
    image: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGE",
            help="Finished run of the image recipe: its `out` folder, or a pair's to keep its model.",
        ),
    ],
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="Finished run of the video recipe.")],
    decoder: Annotated[Path, typer.Argument(metavar="DECODER", help="Finished run of the decoder recipe.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pair.")],
    strategy: Annotated[
        Path | None, typer.Option(help="JSON of the recommended strategy; the paper's when absent.")
    ] = None,
    guide: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="A further video model that guidance may lead away from; may be repeated."),
    ] = None,
) -> None:  # fmt: skip
    """Put the weights of three finished runs together into a pair."""
    from jvid.errors import InputError
    from jvid_training.export import export_runs

    guides = {}
    for text in guide or ():
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise InputError(f"--guide {text!r}: expected a name and a folder, early=runs/video")
        guides[name] = Path(folder)
    made = export_runs(image, video, decoder, out, strategy, guides)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    typer.echo(f"{out}: pair {made.name}, {size:.1f} MB, {len(made.prompts)} prompts")


@extra("training")
def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="`out` folders of recipes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture: .png, .svg or .pdf.")],
) -> None:
    """Plot the losses of runs."""
    from jvid_training.train.curves import plot_curves

    plot_curves(runs, out)
    typer.echo(str(out))
