"""``jvid sample``: prompts to clips in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from jvid.cli.batches import Batch, Memory
from jvid.cli.devices import Device, Dtype, Offloading, Threads, check_dtype, check_offload
from jvid.cli.ensembles import EnsembleOptions, default_source
from jvid.cli.groups import expanded
from jvid.cli.imports import import_torch
from jvid.cli.prompts import PromptFile, clips_of
from jvid.cli.replaying import PlanFile, check_alone
from jvid.cli.strategies import StartOptions, StrategyOptions, check_overlap
from jvid.cli.summary import AsJson, print_summary
from jvid.errors import InputError
from jvid.media.files import described

if TYPE_CHECKING:
    from jvid.pipeline.record import Record

__all__ = ["check_overlap", "sample"]

Prompts = Annotated[list[str] | None, typer.Argument(metavar="PROMPT...", help="What the clips show.")]
Outputs = Annotated[
    list[Path],
    typer.Option("-o", "--output", metavar="FILE", help=f"The ending selects the format: {described()}. May be repeated."),
]  # fmt: skip
Num = Annotated[int | None, typer.Option("--num", "-n", min=1, help="Clips of each prompt (default: 1).")]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", min=0, help="Seed of the first clip; each further clip has the next number (default: 0)."
    ),
]
Frames = Annotated[
    int | None, typer.Option("--frames", metavar="N", help="Frames of a clip (default: the ensemble's).")
]
Unconditional = Annotated[bool, typer.Option("--unconditional", help="No prompt: the null condition alone.")]
Scale = Annotated[
    int | None,
    typer.Option("--scale", min=1, max=64, help="Enlargement; by default up to 256 pixels (sheets: 128)."),
]  # fmt: skip
Exact = Annotated[
    bool, typer.Option("--exact", help="Enlarge pixel by pixel and keep colours, as pixel art wants it; else smoothly.")
]  # fmt: skip
Transparent = Annotated[
    bool,
    typer.Option("--transparent", help="Leave out a plain background, in each output whose format can (.gif, .webp, .png)."),
]  # fmt: skip
Save = Annotated[
    Path | None,
    typer.Option("--save-strategy", metavar="FILE", help="Write the strategy as JSON too, for --strategy (.json)."),
]  # fmt: skip
Again = Annotated[
    Path | None,
    typer.Option(
        "--again",
        metavar="FILE",
        help="Make the clips of this file again; ensemble and strategy options change it.",
    ),
]


@expanded
def sample(
    *,
    prompts: Prompts = None,
    output: Outputs,
    prompt_file: PromptFile = None,
    num: Num = None,
    seed: Seed = None,
    frames: Frames = None,
    unconditional: Unconditional = False,
    again: Again = None,
    ensemble: EnsembleOptions,
    start: StartOptions,
    changes: StrategyOptions,
    plan: PlanFile = None,
    save_strategy: Save = None,
    device: Device = "cpu",
    dtype: Dtype = None,
    offload: Offloading = None,
    batch: Batch = None,
    memory: Memory = None,
    threads: Threads = None,
    scale: Scale = None,
    exact: Exact = False,
    transparent: Transparent = False,
    as_json: AsJson = False,
) -> None:
    """Sample clips from prompts.

    Several clips go into one sheet or one file of latents, and into wave-0.mp4, wave-1.mp4, ... where they play.
    Strategy, seeds and versions are stored in each file's metadata.
    """
    import_torch()
    from jvid.cli.progress import steps_bar
    from jvid.core.plan import Plan
    from jvid.ensemble.compose import Composition
    from jvid.files import check_apart, check_file
    from jvid.machine.device import prepare
    from jvid.media import check_library, check_path
    from jvid.media.files import format_of
    from jvid.media.writing import check_transparent
    from jvid.pipeline.batches import Batching
    from jvid.pipeline.make import make
    from jvid.pipeline.offload import Offload
    from jvid.pipeline.record import Record
    from jvid.pipeline.replay import replayed
    from jvid.pipeline.weights import stays_on_host
    from jvid.pipeline.write import targets, write_clips
    from jvid.strategy.plan_file import load_plan

    for path in output:
        check_library(path)
    if transparent and not any(format_of(path).transparent for path in output):
        check_transparent(output[0])
    if save_strategy is not None:
        check_file(save_strategy, (".json",))
    check_dtype(dtype)
    check_offload(offload)
    if plan is not None:
        check_alone("--plan", changes)
    replay: Plan | None = None if plan is None else load_plan(plan)
    record: Record | None = None
    if again is not None:
        given = {"prompts": prompts, "--prompts": prompt_file, "--num": num, "--seed": seed, "--paper": start.paper,
                 "--strategy": start.strategy, "--unconditional": unconditional or None}  # fmt: skip
        if beside := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{beside[0]} beside --again: the file states it, leave it out")
        record = _read(again)
        if replay is None and record.plan is not None:
            check_alone("--again of a clip with a plan", changes)
            replay = record.plan
        clips = record.clips
    else:
        clips = clips_of(prompts, prompt_file, num, seed, unconditional)
    wanted = targets(output, len(clips))
    for path, _ in wanted:  # before anything is sampled
        check_path(path)
    batching = Batching.parse(batch, memory, record)
    taken = prepare(device, threads, None if record is None else record.threads)
    if record is not None and record.threads not in (None, taken):
        _warn(f"{record.threads} threads then, {taken or 'another device'} now: the last bits may differ")

    # An ensemble given beside --again is the file's ensemble at another place.
    named = None if record is None else record.ensemble
    source = ensemble.source(named) or named or default_source()
    written = [*(path for path, _ in wanted), *([] if save_strategy is None else [save_strategy])]
    check_apart(written, [*source.input_paths, prompt_file, plan, start.strategy])
    precision = dtype or (record.dtype if record else "float32")
    stated = start.started()  # a file that is no strategy is reported before anything loads
    models = source.load(device, precision, host=stays_on_host(offload))
    base = record.strategy if record else start.of(models, stated)
    if unconditional:
        if changes.guidance:
            raise InputError("--guidance beside --unconditional: there is nothing to guide by, leave one out")
        # An expert that takes no prompt has no null condition to predict with.
        conditioned = [name for name, member in models.members.items() if member.conditioner is not None]
        each = ["0"] if len(conditioned) == len(models.members) else [f"{name}=0" for name in conditioned]
        changes = attrs.evolve(changes, guidance=each)
    used = changes.changed(base, models)
    check_apart(written, used.input_paths)
    wanted_frames = frames if frames is not None else record.frames if record else None
    check_overlap(changes.overlap, models, wanted_frames)

    decoding = any(format_of(path).holds != "latents" for path, _ in wanted)
    played = used if replay is None else replayed(used, replay, models)[0]
    with Offload(Composition(played, models), offload, device, decoding=decoding) as offloaded:
        with steps_bar() as advance:
            made = make(
                models,
                used,
                clips,
                batching,
                device,
                decoding=decoding,
                plan=replay,
                frames=wanted_frames,
                offload=offloaded,
                advance=advance,
            )
        if record is not None and made.batches != record.shared():
            _warn("clips computed in other batches than the file's: the last bits may differ")
        record = Record(
            source, clips, used, precision, device, plan=replay,
            frames=models.frames.frames(made.latents.shape[2]), batches=made.batches, threads=taken,
        )  # fmt: skip
        seconds = write_clips(models, record, made, wanted, scale=scale, exact=exact, transparent=transparent)
    files = [path for path, _ in wanted]
    if save_strategy is not None:
        used.save(save_strategy)
        files.append(save_strategy)
    print_summary(record, made, seconds, files, as_json)


def _read(path: Path) -> Record:
    from jvid.media.reading import read_metadata
    from jvid.pipeline.record import Record

    record = Record.read(read_metadata(path))
    for difference in record.differences():
        _warn(f"{difference}: the clip may differ")
    return record


def _warn(message: Any) -> None:
    typer.echo(f"jvid: warning: {message}", err=True)
