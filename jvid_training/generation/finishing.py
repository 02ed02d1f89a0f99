"""A set whose sampling another set holds: two strategies that differ in their smoothing alone differ after the last step.

Rows of an ablation and a grid of smoothings then cost a decoder's time each, and no network's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid_training.generation.ranks import computing, ranks
from jvid_training.generation.run import begun
from jvid_training.generation.sets import ClipSet

if TYPE_CHECKING:
    from jvid.pair import Pair
    from jvid.strategy import Strategy

__all__ = ["finish", "finishes"]


def finishes(strategy: Strategy, plain: ClipSet) -> bool:
    """Whether `finish` can make a strategy's clips of ``plain``: complete, of the same strategy without smoothing, in float32."""
    unfinished = attrs.evolve(strategy, smoothing=None)
    return plain.complete and plain.spec.strategy == unfinished and plain.spec.dtype == "float32"


def finish(folder: str | Path, plain: ClipSet, strategy: Strategy, pair: Pair) -> ClipSet:
    """The set that ``generate`` would make of ``strategy``, bit for bit, of the latents in ``plain``; resumable likewise.

    Calls and seconds in it are those of ``plain``. ``pair`` is the one that made ``plain``, on the same device.

    Raises:
        InputError: `finishes` denies it, a folder that holds another set, a full disk, a damaged file.
    """
    from jvid_training.generation.making import Maker, pair_fingerprint

    if not finishes(strategy, plain) or pair_fingerprint(pair) != plain.spec.pair_fingerprint:
        raise InputError(
            f"{plain.folder} is not a complete float32 set of this pair and strategy without smoothing: expected one; "
            "or make the clips with jvid generate"
        )
    folder, spec = Path(folder), attrs.evolve(plain.spec, strategy=strategy)
    with ranks(spec.device) as job, computing(spec.threads, spec.device):
        if job.world > 1:
            raise InputError("finish in a job of several processes: expected one alone")
        with begun(folder, job, lambda before: spec) as (_, missing):
            if missing:
                maker = Maker(spec, pair, spec.device)
                for batch in missing:
                    maker.write_finished(folder, batch, plain.folder)
    return ClipSet.open(folder)
