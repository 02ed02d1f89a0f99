"""`jvid encode`, `train`, `curves`, `export` and `sheets`: from clips to an ensemble and what it samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import attrs
import typer

from jvid.cli.devices import Device, Dtype, Offloading, Threads, check_dtype, check_offload
from jvid.cli.ensembles import EnsembleOptions, default_source
from jvid.cli.groups import expanded
from jvid.cli.strategies import StartOptions, StrategyOptions, labelled
from jvid.cli.summary import AsJson
from jvid.errors import InputError
from jvid.extras import extra
from jvid.files import check_apart, check_file
from jvid.media.files import PLOTS, STILLS, listed
from jvid_training.estimate.cli import (
    DryRunOption,
    GpuOption,
    ProcessesOption,
    UtilisationOption,
    check_beside,
    show_dry_run,
)

if TYPE_CHECKING:
    from jvid_training.export import Part
    from jvid_training.train.trainer import Progress as Far

RecipeArgument = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="TOML file, such as recipes/actions-64/image.toml")
]


Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value of the recipe to change, such as training.steps=2. May be repeated.",
    ),
]


@extra("training")
def encode(
    recipe: RecipeArgument,
    settings: Setting = None,
    workers: Annotated[
        int,
        typer.Option("--workers", min=1, help="Processes that encode; a node of torchrun has so many each."),
    ] = 1,
    device: Device = "cpu",
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            min=1,
            help="Frames that the autoencoder gets at a time (default: the codec's own chunk, 32 on a GPU where that is 1).",
        ),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Encode the prompts too, so that training needs no text encoder.")
    ] = False,
) -> None:
    """Encode the recipe's clips into latents, once, ahead of training."""
    from jvid.cli.progress import counting_bar
    from jvid_models.paths import below_shared
    from jvid_training.data.checks import some
    from jvid_training.data.clips import passed_over
    from jvid_training.data.encoding import encode_recipe
    from jvid_training.jobs.ranks import first_process
    from jvid_training.recipe import load_recipe
    from jvid_training.recipe_buckets import buckets_of

    chosen = load_recipe(recipe, settings or ())
    data = chosen.data
    root = below_shared(data.root)
    with counting_bar("clips") as progress:
        manifest = encode_recipe(chosen, workers, device, batch, progress)
    if not first_process():
        return
    if text:
        from jvid_training.data.prompts import encode_text

        with counting_bar("prompts") as progress:
            prompts = encode_text([manifest], data, chosen.text, progress)
        typer.echo(f"{data.latents}: {prompts} prompts")
    counts, of = manifest.windows(), manifest.sequences.of_each("bucket")
    frames, windows = int(manifest.sequences.of_each("length").sum()), int(counts.sum())
    clips = len(manifest.sequences.texts["clip"])
    skipped = len(manifest.skipped)
    typer.echo(f"{data.latents}: {clips} clips, {frames} frames, {windows} windows; {skipped} clips skipped")
    for number, each in enumerate(buckets_of(data) if manifest.buckets else ()):
        typer.echo(f"  bucket {each}: {(of == number).sum()} sequences, {counts[of == number].sum()} windows")
    for reason in manifest.skipped.values():
        typer.echo(f"  skipped {reason}")
    if data.source == "folder" and root.is_dir() and (others := passed_over(root, data.captions)):
        typer.echo(f"  passed over {len(others)} files that are no clips here: {some(others)}")


@extra("training")
def train(
    recipe: RecipeArgument,
    settings: Setting = None,
    dry: DryRunOption = False,
    gpu: GpuOption = None,
    utilisation: UtilisationOption = None,
    processes: ProcessesOption = None,
    as_json: AsJson = False,
) -> None:
    """Train the recipe's network; goes on from the last checkpoint when there is one.

    A signal stops it with a checkpoint and the exit code 130 (Ctrl-C) or 75 (SIGTERM, SIGUSR1, SIGHUP), which means: the same
    command goes on.
    """
    check_beside(dry, gpu, utilisation, processes, as_json)
    from jvid.cli.progress import progress_bar
    from jvid_training.jobs.ranks import first_process
    from jvid_training.jobs.signals import exit_code
    from jvid_training.recipe import load_recipe
    from jvid_training.train.trainer import run_recipe

    chosen = load_recipe(recipe, settings or ())
    if dry:
        show_dry_run(chosen, gpu, utilisation, processes, as_json)
        return
    with progress_bar("steps") as bar:
        bar.update(0, chosen.training.steps, chosen.name)

        def show(progress: Far) -> None:
            figures = _figures(progress)
            bar.update(progress.step, progress.steps, chosen.name, figures=figures)
            left = f"{progress.minutes_left:.0f} min left"
            bar.line(f"{chosen.name} {progress.step}/{progress.steps} {figures}, {left}")

        ending = run_recipe(chosen, show)
    if first_process():
        if ending.stopped is None:
            typer.echo(f"{chosen.name}: weights in {ending.folder}")
        else:
            typer.echo(
                f"{chosen.name}: stopped; its checkpoint is in {ending.folder}, the same command goes on from it"
            )
    if ending.stopped is not None:
        raise typer.Exit(exit_code(ending.stopped))


def _figures(progress: Far) -> str:
    held_out = "" if progress.validation is None else f" held-out {progress.validation:.3f}"
    others = "".join(f" {name} {value:.2f}" for name, value in progress.figures.items())
    return f"loss {progress.loss:.3f}{held_out}{others} {progress.rate:.2f}/s"


@extra("training")
@expanded
def sheets(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the sheets.")],
    ensemble: EnsembleOptions,
    start: StartOptions,
    changes: StrategyOptions,
    prefix: Annotated[
        str, typer.Option("--prefix", help="Sheets are made of the prompts that begin so.")
    ] = "A person",
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="A sheet of this prompt, in place of the ensemble's. May be repeated."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of the first prompt; the next takes the next.")
    ] = 0,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            metavar="[LABEL=]FILE",
            help="A row of the strategy of this file, after each expert alone, in place of the parts of one. May be repeated.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="RECIPE|FOLDER",
            help="Real clips: the first row is the clip that the prompt is a caption of.",
        ),
    ] = None,
    ending: Annotated[str, typer.Option("--ending", help=listed(STILLS))] = ".png",
    device: Device = "cpu",
    dtype: Dtype = None,
    offload: Offloading = None,
    threads: Threads = None,
) -> None:
    """Contact sheets of a strategy and the parts it is made of, or of several strategies, one per prompt."""
    from jvid.machine.device import prepare
    from jvid.pipeline.weights import stays_on_host
    from jvid.strategy.strategy import Strategy
    from jvid_training.evaluation.sources import real_clips
    from jvid_training.sheets import make_sheets

    check_dtype(dtype)
    check_offload(offload)
    stated = start.started()  # a file that is no strategy is reported before anything loads
    chosen = {label: Strategy.load(path) for label, path in labelled(rows or [], "--row").items()}
    if chosen and stated is not None:
        raise InputError("--row beside --strategy or --paper: each row is a whole strategy, leave one out")
    true = None if reference is None else real_clips(reference)
    prepare(device, threads)
    source = ensemble.source() or default_source()
    models = source.load(device, dtype or "float32", host=stays_on_host(offload))

    def changed(strategy: Strategy) -> Strategy:
        return changes.changed(strategy, models)

    one = None if chosen else changed(start.of(models, stated))
    several = {label: changed(each) for label, each in chosen.items()} or None
    named = [
        path for each in (one, *(several or {}).values()) if each is not None for path in each.input_paths
    ]
    files = make_sheets(
        models,
        out,
        prefix,
        seed,
        ending,
        lambda row: typer.echo(f"sampling: {row}", err=True),
        one,
        prompt,
        several,
        true,
        device,
        offload,
        [*source.input_paths, start.strategy, *labelled(rows or [], "--row").values(), reference, *named],
    )
    for file in files:
        typer.echo(str(file))


@extra("training")
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the ensemble.")],
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE VIDEO DECODER]",
            help="Short for --expert video=VIDEO --expert image=IMAGE --decoder DECODER.",
        ),
    ] = None,
    expert: Annotated[
        list[str] | None,
        typer.Option(
            "--expert",
            "--guide",
            metavar="NAME=RUN",
            help="An expert by name: the `out` folder of a finished run, or FOLDER#EXPERT of an ensemble. May be repeated.",
        ),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            "--decoder",
            metavar="RUN",
            help="Finished run of a decoder recipe, an ensemble's folder, or that of the autoencoder of one's own.",
        ),
    ] = None,
    strategy: Annotated[
        Path | None,
        typer.Option(
            "--strategy",
            help="JSON of the recommended strategy; the paper's when absent, where it fits the experts.",
        ),
    ] = None,
    layout: Annotated[
        Literal["files", "diffusers"],
        typer.Option(
            "--layout",
            help="files: one for each network; diffusers: a folder for each, which diffusers loads alone.",
        ),
    ] = "files",
    autoencoder: Annotated[
        Path | None,
        typer.Option(
            "--autoencoder",
            metavar="RUN",
            help="Run of an autoencoder recipe, alone: a diffusers folder of it.",
        ),
    ] = None,
    lora: Annotated[
        Path | None,
        typer.Option(
            "--lora",
            metavar="RUN",
            help=r"Run of a recipe with \[lora], alone: a file that diffusers' load_lora_weights takes.",
        ),
    ] = None,
) -> None:
    """Put the weights of finished runs together into an ensemble, or export an autoencoder or a LoRA."""
    beside = bool(parts or expert or decoder or strategy or layout != "files")
    if lora is not None:
        _export_lora(lora, out, beside or autoencoder is not None)
        return
    if autoencoder is not None:
        _export_autoencoder(autoencoder, out, beside)
        return
    from jvid_training.export import export_runs

    experts, latest = _parts(parts or [], expert or [], decoder)
    folders = (part.folder for part in (*experts.values(), *([] if latest is None else [latest])))
    check_apart([out], [strategy, *folders])
    made = export_runs(experts, latest, out, strategy, layout)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
    prompts = f"{len(made.prompts)} prompts" if made.prompts else "any prompt that its text encoders take"
    typer.echo(f"{out}: ensemble {made.name} of {', '.join(made.experts)}, {size:.1f} MB, {prompts}")


def _export_lora(run: Path, out: Path, beside: bool) -> None:
    from jvid_training.export import read_published
    from jvid_training.published.export import export_lora

    if beside:
        raise InputError("--lora beside other options: it is exported alone, leave them out")
    check_apart([check_file(out, (".safetensors",))], [run])  # before anything is loaded
    export_lora(read_published(run, "image", "video"), out)
    typer.echo(f"{out}: LoRA, {out.stat().st_size / 1e6:.1f} MB")


def _export_autoencoder(run: Path, out: Path, beside: bool) -> None:
    from jvid_training.autoencoder_folder import export_autoencoder

    if beside:
        raise InputError("--autoencoder beside other options: it is exported alone, leave them out")
    check_apart([out], [run])
    codec = export_autoencoder(run, out)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    typer.echo(
        f"{out}: {type(codec.autoencoder).__name__} of {codec.latent_channels} channels and factor {codec.factor}, {size:.1f} MB"
    )


def _parts(
    parts: Sequence[str], named: Sequence[str], decoder: str | None
) -> tuple[dict[str, Part], Part | None]:
    """Experts by name and the decoder, of the two forms of the command.

    Raises:
        InputError: neither form, an option of another form, or an expert or a decoder that is given twice.
    """
    from jvid_training.export import Part

    if len(parts) not in (0, 3):
        raise InputError(
            f"{len(parts)} parts: expected IMAGE VIDEO DECODER, or --expert NAME=RUN and --decoder RUN"
        )
    experts: dict[str, Part] = {}
    if parts:
        image, video, last = parts
        if decoder is not None:
            raise InputError(f"--decoder {decoder!r} beside {last!r}: leave one out")
        experts = {
            name: attrs.evolve(Part.parse(text), kinds=(name,))
            for name, text in (("video", video), ("image", image))
        }
        decoder = last
    for text in named:
        name, equals, folder = (piece.strip() for piece in text.partition("="))
        if not (name and equals and folder):
            raise InputError(f"--expert {text!r}: expected a name and a folder, early=runs/video")
        if name in experts:
            raise InputError(f"--expert {text!r}: {name} is given twice, expected it once")
        experts[name] = Part.parse(folder)
    if not experts:
        raise InputError("no experts: expected IMAGE VIDEO DECODER, or --expert NAME=RUN and --decoder RUN")
    return experts, None if decoder is None else Part.parse(decoder)


@extra("training")
def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="`out` folders of recipes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help=f"Picture: {listed(PLOTS)}.")],
) -> None:
    """Plot the losses of runs."""
    from jvid_training.train.curves import plot_curves

    check_apart([out], runs)
    plot_curves(runs, out)
    typer.echo(str(out))
