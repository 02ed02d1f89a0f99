"""Prompts to finished latents, one batch after the other: for the command line, sheets and the Python interface alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from jvid.ensemble.compose import Composition
from jvid.machine.device import check_device
from jvid.pipeline.batches import Batching, bytes_per_clip, check_latents_fit
from jvid.pipeline.record import BatchRecord, Clip
from jvid.pipeline.replay import replayed

if TYPE_CHECKING:
    from torch import Tensor

    from jvid.core.plan import Plan
    from jvid.core.state import State
    from jvid.ensemble.ensemble import Ensemble
    from jvid.pipeline.offload import Offload
    from jvid.strategy.strategy import Strategy

__all__ = ["Made", "decoded", "make"]

Advance = Callable[[int, int, "State"], None]
"""``(steps done, steps of all batches, state)``, after each step."""


@attrs.frozen(eq=False)
class Made:
    """Finished latents ``(b c f h w)``, the batches they come of, and what they cost: calls and seconds by expert."""

    latents: Tensor
    batches: tuple[BatchRecord, ...]
    calls: Mapping[str, int]
    seconds: Mapping[str, float]


def make(
    ensemble: Ensemble,
    strategy: Strategy,
    clips: Sequence[Clip],
    batching: Batching | None = None,
    device: str = "cpu",
    *,
    decoding: bool = False,
    plan: Plan | None = None,
    frames: int | None = None,
    offload: Offload | None = None,
    advance: Advance = lambda done, total, state: None,
) -> Made:
    """Sample clips with an ensemble, in batches.

    Args:
        ensemble: whose experts predict.
        strategy: how they are sampled.
        clips: prompts and seeds.
        batching: which clips are computed together; as many as half of the free memory allows if None.
        device: of the latents.
        decoding: report a codec that cannot be loaded before the first step.
        plan: one to replay; None draws the strategy's.
        frames: of each clip; None is the ensemble's.
        offload: moves experts in and out as the plan needs them; what computes then has its weights on the host before.
        advance: called after each step.

    Raises:
        InputError: a device that is not there, a prompt that an expert does not know, or a plan or windows that do not fit,
            before a network runs; a bound of memory that holds no clip, after a call of each expert.
        NonFiniteError: an expert predicted NaN or infinity.
    """
    import torch

    check_device(device)
    batching = batching or Batching()
    if plan is not None:
        strategy, plan = replayed(strategy, plan, ensemble)
    composition = Composition(strategy, ensemble)
    composition.check()
    shape = ensemble.latents(frames)
    check_latents_fit(shape, device)
    mates = [clip for batch in batching.repeated for clip in batch.clips]
    first: Any = None
    for prompt in dict.fromkeys(clip.prompt for clip in mates or clips):
        first = composition.condition([prompt or ""])
    sampler = composition.sampler(shape[1])
    if decoding:
        _ = ensemble.codec  # it loads at its first use, which would be after the long part
    if plan is None:
        plan = sampler.plan(strategy.plan_seed)
    if offload is not None:
        offload.follow(plan, shape[1])
    measure = partial(bytes_per_clip, sampler, plan, shape, first, device)
    if offload is not None and offload.takes_memory:
        measure = partial(measure, moved=True)
    batches = batching.together(clips, measure, device)
    if offload is not None:
        offload.follow(plan, shape[1], len(batches))
    calls, seconds = dict.fromkeys(plan.experts, 0), dict.fromkeys(plan.experts, 0.0)
    finished: list[Tensor] = []
    total = len(batches) * len(plan)
    for number, batch in enumerate(batches):
        cond = composition.condition([clip.prompt or "" for clip in batch.clips])
        seeds = [clip.seed for clip in batch.clips]
        state = None
        states = sampler.trace(shape, seeds=seeds, cond=cond, plan=plan, device=device)
        if offload is not None:
            states = offload.steps(states, number * len(plan))
        for state in states:
            advance(number * len(plan) + state.step.index + 1, total, state)
        assert state is not None  # a plan has a step
        finished.append(sampler.finish(state.x)[list(batch.rows)])
        # A plan that was read may know experts that it never evaluates: they are not loaded.
        for name in state.calls:
            calls[name] += state.calls[name]
            seconds[name] += state.seconds[name]
    return Made(torch.cat(finished), batches, calls, seconds)


def decoded(ensemble: Ensemble, latents: Tensor) -> Iterator[Tensor]:
    """Each clip of latents ``(b c f h w)`` as pixels ``(1 3 f H W)`` in [-1, 1] on the CPU, decoded alone."""
    import torch

    for clip in latents:
        with torch.inference_mode():
            yield ensemble.codec.decode(clip[None]).float().cpu()
