"""The memory that the weights of a run will take, by expert and by the way to move them; no network runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import attrs

from jvid.errors import JvidError
from jvid.pipeline.weights import Mode, Weights
from jvid.views.memory_table import MemoryRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jvid.core.plan import Plan
    from jvid.ensemble.compose import Composition
    from jvid.ensemble.ensemble import Ensemble

__all__ = ["RunMemory", "is_loaded", "memory_of"]


@attrs.frozen
class RunMemory:
    """Bytes of weights: by expert, of the decoder, and at most at once by mode, with the room that one step needs."""

    rows: tuple[MemoryRow, ...]
    decoder: int
    peaks: Mapping[str, int]


def is_loaded(composition: Composition) -> bool:
    """Whether the weights of all experts are there, so that their size is known without loading any."""
    from jvid.ensemble.deferred import Deferred

    ensemble = composition.ensemble
    if ensemble is None:
        return False
    others = [other for names in composition.references.values() for other in names]
    members = [ensemble.member(name) for name in (*composition.experts, *others)]
    heavy = [part for member in members for part in (member.denoiser, member.conditioner)]
    return all(part.is_made for part in heavy if isinstance(part, Deferred))


def memory_of(composition: Composition, plan: Plan, frames: int | None = None) -> RunMemory | None:
    """The memory of a run of a plan; None where no expert declares its modules.

    Args:
        composition: a strategy with an ensemble; its networks are loaded.
        plan: whose steps are taken.
        frames: of a clip; None is the ensemble's.
    """
    ensemble = composition.ensemble
    assert ensemble is not None  # its networks are loaded
    weights = Weights(composition, decoding=_can_decode(ensemble))
    if not weights.modules:
        return None
    uses = weights.uses(plan, ensemble.latents(frames)[1])
    room = weights.room(uses, "cpu")
    counted: set[str] = set()

    def bytes_of(units: tuple[str, ...]) -> int:
        new = [unit for unit in units if unit not in counted]
        counted.update(new)
        return weights.bytes_of(new)

    rows = tuple(
        MemoryRow(name, bytes_of(weights.networks(name)), bytes_of(weights.encoders[name]))
        for name in weights.experts
    )
    peaks = {mode: weights.peak(plan, uses, mode, room) for mode in get_args(Mode)}
    return RunMemory(rows, bytes_of(weights.decoders), peaks)


def _can_decode(ensemble: Ensemble) -> bool:
    try:
        _ = ensemble.codec
    except JvidError:
        return False  # its weights are not here: a plan needs none
    return True
