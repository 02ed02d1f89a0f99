"""All figures of a source of clips against real ones.

    per clip network    FVD[...], and the action classifier on the first that has features for it
    per frame network   FID[...], IS[...] where it knows classes, agreement[...], identity[...]
    pixels              flicker, jerk, and their ratios to the reference's

Floors are beside them. "real": random halves of the reference's files against each other (a file's phases,
mirror images and windows always on one side), mean and range over several; its own flicker and agreement; the
classifier on held-out actors. A codec's floor is the reference, encoded and decoded, as a source.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jvid.errors import InputError
from jvid_training.data.windows import generator
from jvid_training.evaluation.cache import FeatureCache
from jvid_training.evaluation.figures import PROTOCOL, EvaluationResult, Figure, base_of, named
from jvid_training.evaluation.networks.pixels import Pixels
from jvid_training.evaluation.networks.protocol import FeatureNetwork
from jvid_training.evaluation.recognition import Recogniser, proportion, train_recogniser
from jvid_training.evaluation.scoring import (
    action,
    consistency,
    distance,
    inception,
    kind_of,
    label_of,
    motion,
)
from jvid_training.evaluation.sources import ClipSource, check_agreement
from jvid_training.evaluation.statistics import frechet_distance, moments_of

__all__ = ["ProtocolWarning", "evaluate", "real_floor", "recogniser_of"]

Floors = Mapping[str, Mapping[str, Figure]]
HALVES = 10
RESAMPLINGS = 200


class ProtocolWarning(UserWarning):
    """A figure departs from the protocol, as its name states."""


def evaluate(
    source: ClipSource,
    reference: ClipSource,
    networks: Sequence[FeatureNetwork],
    *,
    cache: Path | FeatureCache | None = None,
    bootstrap: int = RESAMPLINGS,
    seed: int = 0,
    floors: Floors | None = None,
    recogniser: Recogniser | None = None,
) -> EvaluationResult:
    """Figures of ``source``; see the module's head.

    ``bootstrap``: resamplings behind an interval, 0 for none. ``floors`` by name; `real_floor` is computed when None.
    ``recogniser``: `recogniser_of` the reference when None. Raises InputError where the two are of different size,
    length or frame rate. Warns once where there are fewer clips than the protocol requires.
    """
    check_agreement(source, reference)
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        raise InputError(f"feature networks {', '.join(names)}: expected different names")
    store = cache if isinstance(cache, FeatureCache) else FeatureCache(cache)
    pixels = Pixels()
    every = [*networks, pixels]
    real, own = store.features(reference, every), store.features(source, every)
    if recogniser is None:
        recogniser = recogniser_of(reference, networks, store)
    if floors is None:
        floors = {"real": real_floor(reference, networks, cache=store, seed=seed, recogniser=recogniser)}

    figures: dict[str, Figure] = {}
    for network in networks:
        features = own[network.name]
        figures |= distance(network, features, real[network.name], len(reference), bootstrap, seed)
        if network.kind == "frame":
            figures |= inception(network, features)
            figures |= consistency(network, features, bootstrap, seed)
    figures |= motion(own[pixels.name], real[pixels.name], bootstrap, seed)
    if recogniser is not None and recogniser.network in own:
        figures |= action(recogniser, source, own[recogniser.network])
    _warn(source, figures)
    return EvaluationResult(
        source=source.name,
        clips=len(source),
        frames=source.frames,
        size=source.size,
        fps=source.fps,
        reference=reference.name,
        reference_clips=len(reference),
        figures=figures,
        floors={name: dict(values) for name, values in floors.items()},
        fingerprints={
            "source": source.fingerprint,
            "reference": reference.fingerprint,
            **{network.name: network.fingerprint for network in networks},
        },
        recognition={} if recogniser is None else recogniser.to_dict(),
        settings={"seed": seed, "bootstrap": bootstrap, "versions": _versions()},
    )


def recogniser_of(
    reference: ClipSource, networks: Sequence[FeatureNetwork], cache: FeatureCache
) -> Recogniser | None:
    """An action classifier on the first clip network; None without one, or of clips without actors and actions."""
    network = next((network for network in networks if network.kind == "clip"), None)
    actors = getattr(reference, "actors", None)
    if network is None or actors is None or len(set(reference.labels)) < 2:
        return None
    holdout = tuple(getattr(reference, "holdout", ()))
    if len(set(actors) - set(holdout)) < 2:
        return None
    features = cache.features(reference, [network])[network.name]
    return train_recogniser(network.name, features.arrays, reference.labels, actors, holdout)


def real_floor(
    reference: ClipSource,
    networks: Sequence[FeatureNetwork],
    *,
    cache: FeatureCache,
    seed: int = 0,
    recogniser: Recogniser | None = None,
    halves: int = HALVES,
) -> dict[str, Figure]:
    """By base name: what real clips have, against other real clips."""
    pixels = Pixels()
    found = cache.features(reference, [*networks, pixels])
    figures: dict[str, Figure] = {}
    files = np.asarray(getattr(reference, "clips", range(len(reference))))
    every = np.unique(files)
    for network in networks:
        features = found[network.name]["features"]
        distances = []
        for number in range(halves if len(every) > 1 else 0):
            order = generator(seed, 3, number).permutation(every)
            one = np.isin(files, order[: len(order) // 2])
            sides = (moments_of(features, np.flatnonzero(side)) for side in (one, ~one))
            distances.append(frechet_distance(*sides))
        if distances:
            kind = base_of(named(kind_of(network), label_of(network), 1))
            note = f"{len(distances)} random halves of {len(every)} files, {len(reference) // 2} clips a side; range"
            figures[kind] = Figure(float(np.mean(distances)), min(distances), max(distances), "lower", note)
        if network.kind == "frame":
            figures |= {
                base_of(name): figure for name, figure in inception(network, found[network.name]).items()
            }
            figures |= consistency(network, found[network.name], RESAMPLINGS, seed)
    figures |= motion(found[pixels.name], found[pixels.name], RESAMPLINGS, seed)
    if recogniser is not None and recogniser.held_out[1]:
        right, asked = recogniser.held_out
        share = Figure(*proportion(right, asked), "higher", f"{asked} clips of held-out actors")
        figures[f"action[{recogniser.network}]"] = share
    return figures


def _warn(source: ClipSource, figures: Mapping[str, Figure]) -> None:
    short = [name for name in figures if name != base_of(name)]
    if short:
        wanted = ", ".join(f"{count} {unit} for {kind}" for kind, (count, unit) in PROTOCOL.items())
        warnings.warn(
            f"{source.name} has {len(source)} clips, fewer than the protocol requires ({wanted}): figures are biased "
            "upwards and compare only at an equal number, which their names state",
            ProtocolWarning,
            stacklevel=3,
        )


def _versions() -> dict[str, str]:
    import scipy
    import torch

    from jvid import __version__

    return {
        "jvid": __version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "torch": torch.__version__,
    }
