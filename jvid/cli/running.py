"""Clips sampled one batch after the other, with a progress bar that names the expert of each step.

Which clips share a batch is ``jvid.cli.batches``' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from jvid.cli.batches import Batching
from jvid.cli.replaying import replayed
from jvid.cli.story import Clip, Together
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
    """Finished latents ``(b c f h w)``, the batches they come of, and what they cost: calls and seconds by expert."""

    latents: Tensor
    batches: tuple[Together, ...]
    calls: Mapping[str, int]
    seconds: Mapping[str, float]


def prepare(device: str, threads: int | None = None, like: int | None = None) -> int | None:
    """Refuse a device that is not there, before anything is loaded; take ``threads``, or a share of the cores.

    ``like`` is what a run had that is repeated. Returns the threads that compute; None where a processor does not.
    """
    import torch

    from jvid.cores import set_threads

    taken = set_threads(threads, like)
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"--device {device!r} cannot be used ({reason}): expected one such as cpu or cuda"
        ) from error
    return taken if torch.device(device).type == "cpu" else None


def make(
    pair: Pair,
    strategy: Strategy,
    clips: Sequence[Clip],
    batching: Batching,
    device: str,
    *,
    decoding: bool = False,
    plan: Plan | None = None,
    frames: int | None = None,
) -> Made:
    """Sample the clips with the pair, in batches; with ``decoding``, a codec that cannot be loaded is told first.

    ``plan`` is one to replay; None draws the strategy's. ``frames`` of each clip; None is the pair's.

    Raises:
        InputError: a prompt that the pair does not know, or a plan or windows that do not fit; told before a network runs. A
            bound of memory that holds no clip; told after a call of each expert.
        NonFiniteError: an expert predicted NaN or infinity.
    """
    import torch

    from jvid.batching import bytes_per_clip

    if plan is not None:
        strategy, plan = replayed(strategy, plan, pair.schedule)
    mates = [clip for batch in batching.repeated for clip in batch.clips]
    for prompt in dict.fromkeys(clip.prompt for clip in mates or clips):
        first = pair.text_encoder([prompt or ""])
    shape = clip_shape(pair.shape, frames)
    sampler = strategy.sampler(pair, frames)
    if decoding:
        _ = pair.codec  # it loads at its first use, which would be after the long part
    if plan is None:
        plan = sampler.plan(strategy.plan_seed)
    measure = partial(bytes_per_clip, sampler, plan, shape, first, device)
    batches = batching.together(clips, measure, device)
    calls = dict.fromkeys(plan.experts, 0)
    seconds = dict.fromkeys(plan.experts, 0.0)
    finished: list[Tensor] = []
    with _progress() as bar:
        task = bar.add_task(plan.steps[0].expert, total=len(batches) * len(plan))
        for batch in batches:
            cond = pair.text_encoder([clip.prompt or "" for clip in batch.clips])
            seeds = [clip.seed for clip in batch.clips]
            state = None
            for state in sampler.trace(shape, seeds=seeds, cond=cond, plan=plan, device=device):
                # The expert at work from here on; after a clip's last step that of the next clip's first.
                bar.update(task, advance=1, description=(state.next or plan.steps[0]).expert)
            assert state is not None  # a plan has a step
            finished.append(sampler.finish(state.x)[list(batch.rows)])
            # A plan that was read may know experts that it never asks: they are not loaded.
            for name in state.calls:
                calls[name] += state.calls[name]
                seconds[name] += state.seconds[name]
    return Made(torch.cat(finished), batches, calls, seconds)


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
