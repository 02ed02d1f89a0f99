"""Reuse of the latents of another set, where strategies or ensembles differ only after the last step.

That is so for strategies that differ in their postprocessors, and for ensembles that differ in their decoder.
Rows of an ablation, a grid of smoothings and a new decoder then cost a decoder's time each, and no denoiser's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from jvid.ensemble.canonical import canonical
from jvid.ensemble.source import Source
from jvid.errors import InputError
from jvid_training.generation.ensembles import ensemble_fingerprint, frame_size, resumed
from jvid_training.generation.run import locked_set
from jvid_training.generation.sets import ClipSet
from jvid_training.jobs.ranks import computing, ranks

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.strategy.strategy import Strategy

__all__ = ["finish", "finishes"]


def finishes(strategy: Strategy, plain: ClipSet, ensemble: Ensemble) -> bool:
    """Whether `finish` can make a strategy's clips of ``plain``: complete, of the strategy without postprocessors, float32."""
    if not plain.complete or plain.spec.dtype != "float32":
        return False
    unfinished = attrs.evolve(strategy, postprocessors=())
    return canonical(plain.spec.strategy, ensemble) == canonical(unfinished, ensemble)


def finish(
    folder: str | Path,
    plain: ClipSet,
    strategy: Strategy,
    ensemble: Ensemble,
    *,
    sampled_with: Ensemble | None = None,
    source: Source | str | None = None,
) -> ClipSet:
    """The set that ``generate`` would make of ``strategy``, bit for bit, of the latents in ``plain``; resumable likewise.

    Calls and seconds in it are those of ``plain``.

    Args:
        folder: of the set.
        plain: the set that was sampled.
        strategy: of the new set.
        ensemble: the one that made ``plain``, on the same device, or one of another decoder.
        sampled_with: the one that made ``plain``, where ``ensemble`` is of another decoder.
        source: of ``ensemble`` as on the command line; None is that of ``plain``.

    Raises:
        InputError: `finishes` denies it, ensembles that differ in more than their decoder, a folder that holds another set, a
            full disk, a damaged file.
    """
    from jvid_training.generation.maker import Maker

    folder, device = Path(folder), plain.spec.device
    before = plain.spec.ensemble
    named = before if source is None else Source.from_plain(source)
    spec = attrs.evolve(plain.spec, strategy=strategy, ensemble=named)
    if sampled_with is not None:
        sampling = ensemble_fingerprint(sampled_with, before, decoder=False)
        if sampling != ensemble_fingerprint(ensemble, named, decoder=False):
            raise InputError(
                f"{ensemble.name} and {sampled_with.name} differ in more than their decoder, so they sample other latents: "
                "make the clips with jvid generate"
            )
        own, size = ensemble_fingerprint(ensemble, named), frame_size(ensemble, device)
        spec = attrs.evolve(spec, ensemble_fingerprint=own, size=size)
    made_by = ensemble_fingerprint(sampled_with or ensemble, before if sampled_with is not None else named)
    if not finishes(strategy, plain, ensemble) or made_by != plain.spec.ensemble_fingerprint:
        raise InputError(
            f"{plain.folder} is not a complete float32 set of this ensemble and strategy without postprocessors: expected one; "
            "or make the clips with jvid generate"
        )
    with ranks(device) as job, computing(spec.threads, device):
        if job.world > 1:
            raise InputError("finish in a job of several processes: expected one alone")
        with locked_set(folder, job, lambda before: resumed(spec, before, ensemble)) as (spec, missing):
            if missing:
                maker = Maker(spec, ensemble, device)
                for batch in missing:
                    maker.write_finished(folder, batch, plain.folder)
    return ClipSet.open(folder)
