"""Clips sampled one batch after the other, with a progress bar that names the expert of each step.

A batch is one clip unless more is asked for: with real networks a clip's last bits depend on the
batch that it is computed in, and a clip made again from its file should be the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from jvid.cli.replaying import replayed
from jvid.cli.story import Clip
from jvid.errors import InputError
from jvid.lengths import clip_shape

if TYPE_CHECKING:
    from rich.progress import Progress
    from torch import Tensor

    from jvid.pair import Pair
    from jvid.plan import Plan
    from jvid.strategy import Strategy

__all__ = ["Device", "Made", "make", "prepare"]

Device = Annotated[str, typer.Option("--device", help="Such as cpu, cuda or mps.")]


@attrs.frozen(eq=False)
class Made:
    """Finished latents ``(b c f h w)`` with what they cost: calls and seconds by expert."""

    latents: Tensor
    calls: Mapping[str, int]
    seconds: Mapping[str, float]


def prepare(device: str, threads: int | None = None) -> None:
    """Refuse a device that is not there, before anything is loaded; take ``threads``, or a share of the cores."""
    import torch

    from jvid.cores import set_threads

    set_threads(threads)
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"--device {device!r} cannot be used ({reason}): expected one such as cpu or cuda"
        ) from error


def make(
    pair: Pair,
    strategy: Strategy,
    clips: Sequence[Clip],
    batch: int,
    device: str,
    *,
    decoding: bool = False,
    plan: Plan | None = None,
    frames: int | None = None,
) -> Made:
    """Sample the clips with the pair; with ``decoding``, a codec that cannot be loaded is told first.

    ``plan`` is one to replay; None draws the strategy's. ``frames`` of each clip; None is the pair's.

    Raises:
        InputError: a prompt that the pair does not know, or a plan or windows that do not fit; told before a network runs.
        NonFiniteError: an expert predicted NaN or infinity.
    """
    import torch

    if plan is not None:
        strategy, plan = replayed(strategy, plan, pair.schedule)
    parts = [clips[start : start + batch] for start in range(0, len(clips), batch)]
    conditions = [pair.text_encoder([clip.prompt or "" for clip in part]) for part in parts]
    shape = clip_shape(pair.shape, frames)
    sampler = strategy.sampler(pair, frames)
    if decoding:
        _ = pair.codec  # it loads at its first use, which would be after the long part
    if plan is None:
        plan = sampler.plan(strategy.plan_seed)
    calls = dict.fromkeys(plan.experts, 0)
    seconds = dict.fromkeys(plan.experts, 0.0)
    finished: list[Tensor] = []
    with _progress() as bar:
        task = bar.add_task(plan.steps[0].expert, total=len(parts) * len(plan))
        for part, cond in zip(parts, conditions, strict=True):
            seeds = [clip.seed for clip in part]
            state = None
            for state in sampler.trace(shape, seeds=seeds, cond=cond, plan=plan, device=device):
                # The expert at work from here on; after a clip's last step that of the next clip's first.
                bar.update(task, advance=1, description=(state.next or plan.steps[0]).expert)
            assert state is not None  # a plan has a step
            finished.append(sampler.finish(state.x))
            # A plan that was read may know experts that it never asks: they are not loaded.
            for name in state.calls:
                calls[name] += state.calls[name]
                seconds[name] += state.seconds[name]
    return Made(torch.cat(finished), calls, seconds)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr, or nothing where that is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    expert = TextColumn("[bold]{task.description:>8}")
    columns = (expert, BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield bar
