"""``jvid sample``: prompts to clips in files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jvid.cli import strategies as options
from jvid.cli.batches import Batch, Batching, Memory
from jvid.cli.replaying import PlanFile, check_alone
from jvid.cli.running import Device, make, prepare
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.cli.running import Made
    from jvid.cli.story import Clip, Story
    from jvid.pair import Pair

__all__ = ["sample"]

_DTYPES = ("float32", "bfloat16")

Prompts = Annotated[list[str] | None, typer.Argument(metavar="PROMPT...", help="What the clips show.")]
Outputs = Annotated[
    list[Path],
    typer.Option("-o", "--output", metavar="FILE", help="The ending picks the form; may be repeated."),
]  # fmt: skip
Num = Annotated[int | None, typer.Option("--num", "-n", min=1, help="Clips of each prompt (default: 1).")]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Of the first clip; the next has the next (default: 0).")
]
Unconditional = Annotated[bool, typer.Option("--unconditional", help="No prompt: the null condition alone.")]
Dtype = Annotated[
    str | None, typer.Option("--dtype", metavar="|".join(_DTYPES), help="Of the networks (default: float32).")
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Of the processor.")]
Scale = Annotated[
    int | None,
    typer.Option("--scale", min=1, max=64, help="Enlargement; by default up to 256 pixels (sheets: 128)."),
]  # fmt: skip
Save = Annotated[
    Path | None,
    typer.Option("--save-strategy", metavar="FILE", help="Write the strategy as JSON too, for --strategy (.json)."),
]  # fmt: skip
Again = Annotated[
    Path | None,
    typer.Option("--again", metavar="FILE", help="Make the clips of this file again; --pair and strategy options change it."),
]  # fmt: skip


def sample(
    *,
    prompts: Prompts = None,
    output: Outputs,
    pair: options.PairName = None,
    num: Num = None,
    seed: Seed = None,
    frames: options.Frames = None,
    unconditional: Unconditional = False,
    again: Again = None,
    paper: options.Paper = None,
    strategy: options.File = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    selector: options.Selector = None,
    gamma: options.Gamma = None,
    ratio: options.Ratio = None,
    smooth: options.Smooth = None,
    solver: options.Solver = None,
    grid: options.Grid = None,
    plan_seed: options.PlanSeed = None,
    overlap: options.Overlap = None,
    plan: PlanFile = None,
    save_strategy: Save = None,
    device: Device = "cpu",
    dtype: Dtype = None,
    batch: Batch = None,
    memory: Memory = None,
    threads: Threads = None,
    scale: Scale = None,
) -> None:
    """Sample clips from prompts.

    FILE ends in .mp4, .gif, .webp, .png (contact sheet: a row a clip) or .safetensors (latents). Several clips
    go into one sheet or one file of latents, and into wave-0.mp4, wave-1.mp4, ... where they play. Strategy,
    seeds and versions travel in each file's metadata.
    """
    from jvid.choices import Choice
    from jvid.cli.story import Story
    from jvid.media import ENDINGS, check_library, check_path, read_metadata
    from jvid.plan import Plan

    changes: dict[str, Any] = {
        "steps": steps, "guidance": guidance, "selector": selector, "gamma": gamma, "ratio": ratio,
        "smooth": smooth, "solver": solver, "grid": grid, "plan_seed": plan_seed, "overlap": overlap,
    }  # fmt: skip
    paths = [check_path(path, ENDINGS) for path in output]
    for path in paths:
        check_library(path)
    if save_strategy is not None:
        check_path(save_strategy, (".json",))
    if dtype is not None and dtype not in _DTYPES:
        raise InputError(f"--dtype {dtype!r}: expected {' or '.join(_DTYPES)}")
    if plan is not None:
        check_alone("--plan", steps, grid, selector, plan_seed)
    replay = None if plan is None else Plan.load(plan)
    story: Story | None = None
    if again is not None:
        given = {"prompts": prompts, "--num": num, "--seed": seed, "--paper": paper,
                 "--strategy": strategy, "--unconditional": unconditional or None}  # fmt: skip
        if said := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{said[0]} beside --again: the file says it, leave it out")
        story = Story.read(read_metadata(again))
        if replay is None and story.plan is not None:
            check_alone("--again of a clip with a plan", steps, grid, selector, plan_seed)
            replay = story.plan
        for difference in story.differences():
            typer.echo(f"jvid: warning: {difference}: the clip may differ", err=True)
        clips = story.clips
    else:
        clips = _clips(prompts or [], num or 1, seed or 0, unconditional)
    targets = _targets(paths, len(clips))
    batching = Batching.parse(batch, memory, story)
    taken = prepare(device, threads, None if story is None else story.threads)
    if story is not None and story.threads not in (None, taken):
        typer.echo(
            f"jvid: warning: {story.threads} threads then, {taken or 'another device'} now: the last bits may differ",
            err=True,
        )

    # A pair said beside --again is the file's pair at another place.
    chosen = pair or (story.pair if story else "actions-64")
    wanted = dtype or (story.dtype if story else "float32")
    begun = options.started(strategy, paper)
    models: Pair = Choice.parse(chosen).load("pair", device=device, dtype=wanted)
    base = story.strategy if story else begun or models.strategy
    if unconditional:
        if guidance:
            raise InputError("--guidance beside --unconditional: there is nothing to guide by, leave one out")
        changes["guidance"] = ["0"]
    used = options.changed(base, **changes)
    asked = frames if frames is not None else story.frames if story else None
    shape = options.lengthened(models.shape, asked, overlap)

    decoding = any(path.suffix.lower() != ".safetensors" for path, _ in targets)
    made = make(models, used, clips, batching, device, decoding=decoding, plan=replay, frames=shape[1])
    if story is not None and made.batches != story.shared():
        typer.echo(
            "jvid: warning: clips computed in other batches than the file's: the last bits may differ",
            err=True,
        )
    story = Story(
        chosen, clips, used, wanted, device, plan=replay, frames=shape[1], batches=made.batches, threads=taken
    )
    seconds = _write(models, story, made, targets, scale)
    files = [path for path, _ in targets]
    if save_strategy is not None:
        used.save(save_strategy)
        files.append(save_strategy)
    _tell(story, made, seconds, files)


def _clips(prompts: list[str], num: int, seed: int, unconditional: bool) -> tuple[Clip, ...]:
    from jvid.cli.story import Clip

    if unconditional and prompts:
        raise InputError(f"a prompt, {prompts[0]!r}, beside --unconditional: leave one out")
    if not unconditional and not prompts:
        raise InputError(
            "no prompt: expected at least one, such as 'a person waving two hands', or --unconditional"
        )
    wanted: list[str] | list[None] = [None] if unconditional else prompts
    return tuple(Clip(prompt, seed + i) for prompt in wanted for i in range(num))


def _targets(paths: list[Path], count: int) -> list[tuple[Path, slice]]:
    """Each file to write with the clips that it holds."""
    from jvid.media import MOVING

    found: list[tuple[Path, slice]] = []
    for path in paths:
        if count > 1 and path.suffix.lower() in MOVING:
            numbered = [path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(count)]
            found += [(each, slice(i, i + 1)) for i, each in enumerate(numbered)]
        else:
            found.append((path, slice(0, count)))
    names = [path for path, _ in found]
    if twice := [path for path in names if names.count(path) > 1]:
        raise InputError(f"output {str(twice[0])!r} would be written twice: give each file its own name")
    return found


def _write(
    models: Pair, story: Story, made: Made, targets: list[tuple[Path, slice]], scale: int | None
) -> float:
    """Write every file, decoding clip by clip, each once and held until its last file; returns the seconds of decoding."""
    import torch

    from jvid.media import write_latents, write_video

    fps = float(models.fps)
    decoded: dict[int, Any] = {}
    last = {
        i: path
        for path, part in targets
        for i in range(part.start, part.stop)
        if path.suffix.lower() != ".safetensors"
    }
    seconds = 0.0
    for path, part in targets:
        metadata = story.of(part, fps)
        if path.suffix.lower() == ".safetensors":
            write_latents(path, made.latents[part], metadata)
            continue
        for i in range(part.start, part.stop):
            if i not in decoded:
                begun = time.perf_counter()
                with torch.inference_mode():
                    decoded[i] = models.codec.decode(made.latents[i : i + 1]).float().cpu()
                seconds += time.perf_counter() - begun
        write_video(
            path, torch.cat([decoded[i] for i in range(part.start, part.stop)]), fps, metadata, scale=scale
        )
        decoded = {i: video for i, video in decoded.items() if last[i] != path}
    return seconds


def _tell(story: Story, made: Made, seconds: float, paths: list[Path]) -> None:
    """The summary: cost by expert, seeds, files."""
    from rich.console import Console

    lines = [f"{name:>8}  {made.calls[name]:4d} calls  {made.seconds[name]:7.2f} s" for name in made.calls]
    if seconds:
        lines.append(f"{'decoder':>8}  {'':10}  {seconds:7.2f} s")
    seeds = sorted({clip.seed for clip in story.clips})
    shown = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    many = f"{len(story.clips)} clips, seeds" if len(story.clips) > 1 else "seed"
    drawn = (
        f"plan seed {story.strategy.plan_seed}"
        if story.plan is None
        else f"replayed plan of seed {story.plan.seed}"
    )
    most = max(len(batch.clips) for batch in made.batches)
    lines.append(f"{many} {shown}, {drawn}" + (f", {most} at once" if most > 1 else ""))
    lines += [str(path) for path in paths]
    Console().print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
