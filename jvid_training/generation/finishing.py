"""A set whose sampling another set holds: strategies that differ in their smoothing alone, and pairs that differ in their
decoder alone, differ after the last step.

Rows of an ablation, a grid of smoothings and a new decoder then cost a decoder's time each, and no denoiser's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid_training.generation.run import begun
from jvid_training.generation.sets import ClipSet
from jvid_training.jobs.ranks import computing, ranks

if TYPE_CHECKING:
    from jvid.ensemble import Pair
    from jvid.strategy.strategy import Strategy

__all__ = ["finish", "finishes"]


def finishes(strategy: Strategy, plain: ClipSet) -> bool:
    """Whether `finish` can make a strategy's clips of ``plain``: complete, of the same strategy without smoothing, in float32."""
    unfinished = attrs.evolve(strategy, smoothing=None)
    return plain.complete and plain.spec.strategy == unfinished and plain.spec.dtype == "float32"


def finish(
    folder: str | Path,
    plain: ClipSet,
    strategy: Strategy,
    pair: Pair,
    *,
    sampled_with: Pair | None = None,
    name: str | None = None,
) -> ClipSet:
    """The set that ``generate`` would make of ``strategy``, bit for bit, of the latents in ``plain``; resumable likewise.

    Calls and seconds in it are those of ``plain``. ``pair`` is the one that made ``plain``, on the same device, or one of another
    decoder: then ``sampled_with`` is the one that made it, and ``name`` is the new one as on the command line.

    Raises:
        InputError: `finishes` denies it, pairs that differ in more than their decoder, a folder that holds another set, a full
            disk, a damaged file.
    """
    from jvid_training.generation.making import Maker, frame_size, pair_fingerprint

    spec = attrs.evolve(plain.spec, strategy=strategy)
    folder, device = Path(folder), spec.device
    if sampled_with is not None:
        if pair_fingerprint(sampled_with, decoder=False) != pair_fingerprint(pair, decoder=False):
            raise InputError(
                f"{pair.name} and {sampled_with.name} differ in more than their decoder, so they sample other latents: "
                "make the clips with jvid generate"
            )
        own, size = pair_fingerprint(pair), frame_size(pair, device)
        spec = attrs.evolve(spec, pair=name or spec.pair, pair_fingerprint=own, size=size)
    if not finishes(strategy, plain) or pair_fingerprint(sampled_with or pair) != plain.spec.pair_fingerprint:
        raise InputError(
            f"{plain.folder} is not a complete float32 set of this pair and strategy without smoothing: expected one; "
            "or make the clips with jvid generate"
        )
    with ranks(device) as job, computing(spec.threads, device):
        if job.world > 1:
            raise InputError("finish in a job of several processes: expected one alone")
        with begun(folder, job, lambda before: spec) as (_, missing):
            if missing:
                maker = Maker(spec, pair, device)
                for batch in missing:
                    maker.write_finished(folder, batch, plain.folder)
    return ClipSet.open(folder)
