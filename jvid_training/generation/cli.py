"""``jvid generate``: the set's request from options, and its progress."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from jvid.cli.device import Device

from jvid.cli import strategies as options
from jvid.cli.sample import Dtype
from jvid.errors import InputError
from jvid.extras import extra

if TYPE_CHECKING:
    from jvid_training.generation.sets import ClipSet
    from jvid_training.generation.spec import Progress as Far
    from jvid_training.generation.watch import Tell

__all__ = ["generate"]

_EVERY = 60.0


Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="FOLDER", help="Of the set; a run goes on with what is there.")
]
Num = Annotated[int, typer.Option("--num", "-n", min=1, help="Clips wanted; may grow in a later run.")]
Prompt = Annotated[
    list[str] | None,
    typer.Option("--prompt", help='Clips take them in turn (default: the pair\'s that begin with "A person"). May be repeated.'),
]  # fmt: skip
Seed = Annotated[int, typer.Option(min=0, help="Of the first clip; the next has the next.")]
Batch = Annotated[
    int | None,
    typer.Option(min=1, help="Clips of a file, the last one too (default: the set's own; else as even as can be, at most 8)."),
]  # fmt: skip
MicroBatch = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Clips that the networks see at once (default: the batch). With the same, clips are the same bit for bit.",
    ),
]  # fmt: skip
Threads = Annotated[int, typer.Option(min=1, help="Of the processor, for each process.")]
Processes = Annotated[
    int, typer.Option(min=1, help="On this machine. Or start the command with torchrun or accelerate launch.")
]


@extra("training")
def generate(
    out: Out,
    num: Num,
    pair: options.PairName = None,
    strategy: options.File = None,
    paper: options.Paper = None,
    prompt: Prompt = None,
    seed: Seed = 0,
    batch: Batch = None,
    micro_batch: MicroBatch = None,
    threads: Threads = 1,
    processes: Processes = 1,
    device: Device = "cpu",
    dtype: Dtype = None,
) -> None:
    """Make thousands of clips into a folder of sharded files, in several processes, resumable at any moment.

    Each clip depends on the request and its own seed alone. The same command goes on where a run was stopped; a larger --num
    extends the set.
    """
    from jvid_training.generation.run import generate as run
    from jvid_training.jobs.ranks import first_process

    if dtype not in (None, "float32", "bfloat16"):
        raise InputError(f"--dtype {dtype!r}: expected float32 or bfloat16")
    begun = options.started(strategy, paper)
    with _progress(num) as tell:
        made = run(
            out, num=num, pair=pair or "actions-64", strategy=begun, prompts=prompt, seed=seed, batch=batch,
            micro_batch=micro_batch, threads=threads, processes=processes, device=device,
            dtype=dtype or "float32", tell=tell,
        )  # fmt: skip
    if first_process():
        _tell(made)


def _tell(made: ClipSet) -> None:
    """The summary: clips, cost by expert, folder."""
    filled = f" ({made.made} in whole files)" if made.made != len(made) else ""
    spec = made.spec
    typer.echo(
        f"{len(made)} clips{filled}, {len(spec.prompts)} prompts, seeds {spec.seed} to {spec.seed + len(made) - 1}"
    )
    calls, seconds = made.calls, made.seconds
    for name in calls:
        typer.echo(
            f"{name:>8}  {calls[name]:6d} calls  {seconds[name]:9.2f} s  {seconds[name] / made.made:7.3f} s a clip"
        )
    typer.echo(f"{'decoder':>8}  {'':12}  {made.decoding:9.2f} s  {made.decoding / made.made:7.3f} s a clip")
    typer.echo(str(made.folder))


@contextmanager
def _progress(num: int) -> Iterator[Tell]:
    """A bar on a terminal; elsewhere a line a minute. On stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.completed:.0f}/{task.total:.0f} clips"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    said = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=num, rate="")

        def tell(progress: Far) -> None:
            nonlocal said
            rate = _rate(progress)
            bar.update(task, completed=progress.clips, total=progress.num, rate=rate)
            if not console.is_terminal and time.monotonic() - said >= _EVERY:
                said = time.monotonic()
                console.print(
                    f"{int(progress.clips)}/{progress.num} clips {rate}", highlight=False, soft_wrap=True
                )

        yield tell


def _rate(progress: Far) -> str:
    if not math.isfinite(progress.left):
        return ""
    hours, rest = divmod(round(progress.left), 3600)
    return f"{progress.rate:.3g} clips/s, {hours}:{rest // 60:02d}:{rest % 60:02d} left"
