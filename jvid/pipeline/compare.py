"""The same prompt and seed by several strategies, and by each expert alone: what a comparison shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from jvid.ensemble.canonical import canonical
from jvid.ensemble.compose import Composition
from jvid.errors import InputError, located
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import decoded, make
from jvid.pipeline.offload import Offload
from jvid.strategy.simple import alone

if TYPE_CHECKING:
    from jvid.core.plan import Plan
    from jvid.ensemble.ensemble import Ensemble
    from jvid.pipeline.make import Advance, Made
    from jvid.pipeline.record import Clip
    from jvid.strategy.strategy import Strategy

__all__ = ["Comparison", "compare", "with_experts_alone"]


@attrs.frozen(eq=False)
class Comparison:
    """One strategy's clip: ``frames`` ``(f H W 3)`` of bytes, the plan, and what it cost."""

    label: str
    strategy: Strategy
    plan: Plan
    made: Made
    frames: Any


def with_experts_alone(strategies: Mapping[str, Strategy], ensemble: Ensemble) -> dict[str, Strategy]:
    """The strategies by their labels, after each of the ensemble's experts alone.

    An expert alone is sampled as the first strategy is, without what shapes noise and without postprocessors; one that is a
    strategy already has no column of its own.

    Raises:
        InputError: no strategy, or one that does not fit the ensemble; the message has its label.
    """
    if not strategies:
        raise InputError("no strategy to compare: expected at least one")
    for label, strategy in strategies.items():
        with located(label):
            Composition(strategy, ensemble).check()
    first = next(iter(strategies.values()))
    known = [canonical(strategy, ensemble) for strategy in strategies.values()]
    each = {f"{name} alone": alone(first, name) for name in ensemble.experts}
    rows = {label: row for label, row in each.items() if canonical(row, ensemble) not in known}
    if taken := [label for label in rows if label in strategies]:
        raise InputError(f"strategy {taken[0]!r}: an expert alone has this label, expected another one")
    return {**rows, **strategies}


def compare(
    ensemble: Ensemble,
    strategies: Mapping[str, Strategy],
    clip: Clip,
    device: str = "cpu",
    *,
    frames: int | None = None,
    offload: str | None = None,
    advance: Advance = lambda done, total, state: None,
) -> list[Comparison]:
    """Sample the clip with each strategy, and decode it.

    Args:
        ensemble: whose experts predict.
        strategies: by their labels.
        clip: the prompt and the seed.
        device: of the latents.
        frames: of the clip; None is the ensemble's.
        offload: which weights are on the device, as of `Offload`; each strategy has its own plan.
        advance: called after each step, of all strategies together.

    Raises:
        InputError: a mode of offloading that there is not, a prompt or a strategy that does not fit the ensemble.
        NonFiniteError: an expert predicted NaN or infinity.
    """
    from jvid.media.frames import to_frames

    plans = {label: Composition(strategy, ensemble).plan() for label, strategy in strategies.items()}
    total, before = sum(map(len, plans.values())), 0
    found: list[Comparison] = []
    for label, strategy in strategies.items():
        start = before
        with Offload(Composition(strategy, ensemble), offload, device) as offloaded:
            made = make(
                ensemble, strategy, [clip], Batching(1), device, decoding=True, frames=frames, offload=offloaded,
                advance=lambda done, _, state, start=start: advance(start + done, total, state),  # type: ignore[misc]
            )  # fmt: skip
            (video,) = decoded(ensemble, made.latents)
        found.append(Comparison(label, strategy, plans[label], made, to_frames(video)[0]))
        before += len(plans[label])
    return found
