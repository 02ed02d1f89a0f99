"""Clips sampled one batch after the other.

Which clips share a batch is decided by ``jvid.pipeline.batches``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import attrs

from jvid.pipeline.batches import Batching, bytes_per_clip
from jvid.pipeline.record import BatchRecord, Clip
from jvid.pipeline.replay import replayed
from jvid.strategy.windows import clip_shape

if TYPE_CHECKING:
    from torch import Tensor

    from jvid.core.plan import Plan
    from jvid.ensemble import Pair
    from jvid.strategy.strategy import Strategy

__all__ = ["Advance", "Made", "Progress", "make"]

Advance = Callable[[str], None]
"""Called after each step with the name of the expert that predicts next."""

Progress = Callable[[int, str], AbstractContextManager[Advance]]
"""``(steps, first expert) -> context``: shows how far a run is."""


@contextmanager
def _silent(steps: int, expert: str) -> Iterator[Advance]:
    yield lambda following: None


@attrs.frozen(eq=False)
class Made:
    """Finished latents ``(b c f h w)``, the batches they come of, and what they cost: calls and seconds by expert."""

    latents: Tensor
    batches: tuple[BatchRecord, ...]
    calls: Mapping[str, int]
    seconds: Mapping[str, float]


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
    progress: Progress = _silent,
) -> Made:
    """Sample the clips with the pair, in batches; with ``decoding``, a codec that cannot be loaded is told first.

    ``plan`` is one to replay; None draws the strategy's. ``frames`` of each clip; None is the pair's. ``progress`` shows steps.

    Raises:
        InputError: a prompt that the pair does not know, or a plan or windows that do not fit; told before a network runs. A
            bound of memory that holds no clip; told after a call of each expert.
        NonFiniteError: an expert predicted NaN or infinity.
    """
    import torch

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
    with progress(len(batches) * len(plan), plan.steps[0].expert) as advance:
        for batch in batches:
            cond = pair.text_encoder([clip.prompt or "" for clip in batch.clips])
            seeds = [clip.seed for clip in batch.clips]
            state = None
            for state in sampler.trace(shape, seeds=seeds, cond=cond, plan=plan, device=device):
                # The expert at work from here on; after a clip's last step that of the next clip's first.
                advance((state.next or plan.steps[0]).expert)
            assert state is not None  # a plan has a step
            finished.append(sampler.finish(state.x)[list(batch.rows)])
            # A plan that was read may know experts that it never asks: they are not loaded.
            for name in state.calls:
                calls[name] += state.calls[name]
                seconds[name] += state.seconds[name]
    return Made(torch.cat(finished), batches, calls, seconds)
