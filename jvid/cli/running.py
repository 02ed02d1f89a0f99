"""Clips sampled one batch after the other, with a progress bar that names the expert of each step.

A batch is one clip unless more is asked for: with real networks a clip's last bits depend on the
batch that it is computed in, and a clip made again from its file should be the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from jvid.cli.story import Clip

if TYPE_CHECKING:
    from rich.progress import Progress
    from torch import Tensor

    from jvid.pair import Pair
    from jvid.strategy import Strategy

__all__ = ["Made", "make"]


@attrs.frozen(eq=False)
class Made:
    """Finished latents ``(b c f h w)`` with what they cost: calls and seconds by expert."""

    latents: Tensor
    calls: Mapping[str, int]
    seconds: Mapping[str, float]


def make(
    pair: Pair, strategy: Strategy, clips: Sequence[Clip], batch: int, device: str, *, decoding: bool = False
) -> Made:
    """Sample the clips with the pair; with ``decoding``, a codec that cannot be loaded is told first.

    Raises:
        InputError: a prompt that the pair does not know; told before a network runs.
        NonFiniteError: an expert predicted NaN or infinity.
    """
    import torch

    parts = [clips[start : start + batch] for start in range(0, len(clips), batch)]
    conditions = [pair.text_encoder([clip.prompt or "" for clip in part]) for part in parts]
    sampler = strategy.sampler(pair)
    if decoding:
        _ = pair.codec  # it loads at its first use, which would be after the long part
    plan = sampler.plan(strategy.plan_seed)
    calls = dict.fromkeys(plan.experts, 0)
    seconds = dict.fromkeys(plan.experts, 0.0)
    finished: list[Tensor] = []
    with _progress() as bar:
        task = bar.add_task(plan.steps[0].expert, total=len(parts) * len(plan))
        for part, cond in zip(parts, conditions, strict=True):
            seeds = [clip.seed for clip in part]
            state = None
            for state in sampler.trace(pair.shape, seeds=seeds, cond=cond, plan=plan, device=device):
                # The expert at work from here on; after a clip's last step that of the next clip's first.
                bar.update(task, advance=1, description=(state.next or plan.steps[0]).expert)
            assert state is not None  # a plan has a step
            finished.append(sampler.finish(state.x))
            for name in calls:
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
