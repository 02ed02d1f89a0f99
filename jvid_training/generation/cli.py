"""``jvid generate``: the set's request from options, and its progress."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvid.cli.devices import Device, Dtype, Offloading, check_offload
from jvid.cli.ensembles import EnsembleOptions, default_source
from jvid.cli.groups import expanded
from jvid.cli.progress import progress_bar
from jvid.cli.sample import check_overlap
from jvid.cli.strategies import StartOptions, StrategyOptions
from jvid.cli.summary import AsJson, print_json
from jvid.errors import InputError
from jvid.extras import extra

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.strategy.strategy import Strategy
    from jvid_training.generation.sets import ClipSet
    from jvid_training.generation.spec import GenerationProgress
    from jvid_training.generation.watch import ProgressCallback

__all__ = ["generate"]

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FOLDER", help="Folder of the set; a run continues with what is there."
    ),
]
Num = Annotated[int, typer.Option("--num", "-n", min=1, help="Clips wanted; may grow in a later run.")]
Prompt = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        help='Clips take them in turn (default: the ensemble\'s that begin with "A person"). May be repeated.',
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of the first clip; each further clip has the next number.")
]
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch", min=1,
        help="Clips of a file, the last one too (default: the set's own; else as even as can be, at most 8).",
    ),
]  # fmt: skip
MicroBatch = Annotated[
    int | None,
    typer.Option(
        "--micro-batch", min=1,
        help="Clips that the networks see at once (default: the batch). With the same, clips are the same bit for bit.",
    ),
]  # fmt: skip
Frames = Annotated[
    int | None,
    typer.Option("--frames", metavar="N", help="Frames of a clip (default: the set's own; else the ensemble's)."),
]  # fmt: skip
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of the processor, for each process.")]
Processes = Annotated[
    int,
    typer.Option(
        "--processes",
        min=1,
        help="Processes of this machine. Or start the command with torchrun or accelerate launch.",
    ),
]
SetPromptFile = Annotated[
    Path | None,
    typer.Option(
        "--prompts", metavar="FILE",
        help="Prompts of a file, one a line or JSON lines, without seeds: the seeds of a set follow each other from --seed.",
    ),
]  # fmt: skip


@extra("training")
@expanded
def generate(
    *,
    out: Out,
    num: Num,
    prompt: Prompt = None,
    prompt_file: SetPromptFile = None,
    seed: Seed = 0,
    batch: Batch = None,
    micro_batch: MicroBatch = None,
    frames: Frames = None,
    ensemble: EnsembleOptions,
    start: StartOptions,
    changes: StrategyOptions,
    threads: Threads = 1,
    processes: Processes = 1,
    device: Device = "cpu",
    dtype: Dtype = None,
    offload: Offloading = None,
    as_json: AsJson = False,
) -> None:
    """Make thousands of clips into a folder of sharded files, in several processes, resumable at any moment.

    Each clip depends on the request and its own seed alone. The same command goes on where a run was stopped; a larger --num
    extends the set.
    """
    from jvid.files import check_apart
    from jvid_training.generation.run import generate as run
    from jvid_training.jobs.ranks import first_process

    if dtype not in (None, "float32", "bfloat16"):
        raise InputError(f"--dtype {dtype!r}: expected float32 or bfloat16")
    check_offload(offload)
    prompts = _prompts(prompt, prompt_file)
    source = ensemble.source() or default_source()
    check_apart([out], [*source.input_paths, prompt_file, start.strategy])
    stated = start.started()  # a file that is no strategy is reported before anything loads

    def strategy(models: Ensemble) -> Strategy:
        check_overlap(changes.overlap, models, frames)
        used = changes.changed(start.of(models, stated), models)
        check_apart([out], used.input_paths)
        return used

    with _progress() as progress:
        made = run(
            out, num=num, ensemble=source, strategy=strategy, prompts=prompts, seed=seed, batch=batch,
            micro_batch=micro_batch, frames=frames, threads=threads, processes=processes, device=device,
            dtype=dtype or "float32", offload=offload, progress=progress,
        )  # fmt: skip
    if first_process():
        _show(made, as_json)


def _prompts(given: list[str] | None, file: Path | None) -> list[str] | None:
    """The prompts of the options or of the file; None where neither is given.

    Raises:
        InputError: both, or a file whose lines have seeds.
    """
    from jvid.cli.prompts import read_prompts

    if file is None:
        return given
    if given:
        raise InputError(f"--prompt {given[0]!r} beside --prompts: leave one out")
    listed = read_prompts(file)
    if seeded := next((prompt for prompt, seed in listed if seed is not None), None):
        raise InputError(
            f"--prompts {str(file)!r} has a seed for {seeded!r}: the seeds of a set follow each other from --seed, leave "
            "them out"
        )
    return [prompt for prompt, _ in listed]


def _show(made: ClipSet, as_json: bool) -> None:
    """The summary: clips, cost by expert, folder."""
    spec, calls, seconds = made.spec, made.calls, made.seconds
    if as_json:
        print_json(
            {
                "folder": str(made.folder),
                "clips": len(made),
                "made": made.made,
                "prompts": list(spec.prompts),
                "seed": spec.seed,
                "frames": spec.frames,
                "calls": calls,
                "seconds": {name: round(each, 6) for name, each in seconds.items()},
                "decoding": round(made.decoding, 6),
                "ensemble": spec.ensemble.to_plain(),
                "strategy": spec.strategy.to_dict(),
            }
        )
        return
    filled = f" ({made.made} in whole files)" if made.made != len(made) else ""
    typer.echo(
        f"{len(made)} clips{filled}, {len(spec.prompts)} prompts, seeds {spec.seed} to {spec.seed + len(made) - 1}"
    )
    for name in calls:
        typer.echo(
            f"{name:>8}  {calls[name]:6d} calls  {seconds[name]:9.2f} s  {seconds[name] / made.made:7.3f} s a clip"
        )
    typer.echo(f"{'decoder':>8}  {'':12}  {made.decoding:9.2f} s  {made.decoding / made.made:7.3f} s a clip")
    typer.echo(str(made.folder))


@contextmanager
def _progress() -> Iterator[ProgressCallback]:
    """A bar on a terminal; elsewhere a line a minute. On stderr."""
    # The rate has the time that is left: a run that goes on has made a part of the set before.
    with progress_bar("clips", remaining=False) as bar:

        def show(progress: GenerationProgress) -> None:
            rate = _rate(progress)
            bar.update(progress.clips, progress.num, figures=rate)
            bar.minutely(f"{int(progress.clips)}/{progress.num} clips {rate}")

        yield show


def _rate(progress: GenerationProgress) -> str:
    if not math.isfinite(progress.left):
        return ""
    hours, rest = divmod(round(progress.left), 3600)
    return f"{progress.rate:.3g} clips/s, {hours}:{rest // 60:02d}:{rest % 60:02d} left"
