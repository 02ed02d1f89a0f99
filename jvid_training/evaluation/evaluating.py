"""All figures of a source of clips against real ones.

Metrics are those of the networks (`jvid_training.evaluation.metrics.default_metrics`), or any of the registry. Each network of
the metrics runs once over the clips. Floors are what real clips reach by each metric, and the reference through a codec.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jvid.core.metrics import DeclaresSampleSize, FeatureNetwork, Metric, Resampling
from jvid_training.evaluation.cache import FeatureCache
from jvid_training.evaluation.figures import EvaluationResult, Figure, base_of
from jvid_training.evaluation.measurement import BoundMetric, bound, networks_of
from jvid_training.evaluation.metrics import default_metrics
from jvid_training.evaluation.metrics.actions import ActionAccuracy
from jvid_training.evaluation.recognition import Recogniser
from jvid_training.evaluation.sources import ClipSource, check_agreement

__all__ = ["ProtocolWarning", "evaluate", "real_floor", "recogniser_of"]

Floors = Mapping[str, Mapping[str, Figure]]
Metrics = Sequence[Metric | BoundMetric]
RESAMPLINGS = 200


class ProtocolWarning(UserWarning):
    """A figure departs from the protocol, as its name states."""


def evaluate(
    source: ClipSource,
    reference: ClipSource,
    networks: Sequence[FeatureNetwork] = (),
    *,
    metrics: Metrics | None = None,
    cache: Path | FeatureCache | None = None,
    bootstrap: int = RESAMPLINGS,
    seed: int = 0,
    floors: Floors | None = None,
) -> EvaluationResult:
    """Compute the figures of ``source``; warns once where there are fewer clips than a metric's protocol requires.

    Args:
        source: the clips.
        reference: real clips of the same size, length and frame rate.
        networks: whose default metrics are computed where ``metrics`` is None.
        metrics: what is computed, in this order.
        cache: keeps features.
        bootstrap: resamplings behind an interval, 0 for none.
        seed: of the resampling.
        floors: by name; `real_floor` is computed when None.

    Raises:
        InputError: clips that cannot be compared, or metrics or networks of equal names.
        PluginError: a metric that fails, or returns something else than its protocol states.
    """
    check_agreement(source, reference)
    found = bound(default_metrics(networks) if metrics is None else metrics)
    store = cache if isinstance(cache, FeatureCache) else FeatureCache(cache)
    every = networks_of(found)
    real, own = store.features(reference, every), store.features(source, every)
    if floors is None:
        floors = {"real": real_floor(reference, metrics=found, cache=store, seed=seed)}
    figures: dict[str, Figure] = {}
    for metric in found:
        figures |= metric.figures(
            metric.sample(source, own), metric.sample(reference, real), Resampling(bootstrap, seed)
        )
    _warn(source, figures, found)
    recogniser = recogniser_of(found, reference, store)
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
            **{network.name: network.fingerprint for network in every},
        },
        recognition={} if recogniser is None else recogniser.to_dict(),
        settings={"seed": seed, "bootstrap": bootstrap, "versions": _versions()},
    )


def recogniser_of(metrics: Metrics, reference: ClipSource, cache: FeatureCache) -> Recogniser | None:
    """The classifier of actions of the metrics; None without one, or where the clips have no actors and actions."""
    for each in bound(metrics):
        if isinstance(each.metric, ActionAccuracy):
            return each.metric.recogniser(each.sample(reference, cache.features(reference, each.networks)))
    return None


def real_floor(
    reference: ClipSource,
    networks: Sequence[FeatureNetwork] = (),
    *,
    metrics: Metrics | None = None,
    cache: FeatureCache,
    seed: int = 0,
) -> dict[str, Figure]:
    """What real clips reach, by base name: by the default metrics of ``networks``, or by ``metrics``."""
    found = bound(default_metrics(networks) if metrics is None else metrics)
    rows = cache.features(reference, networks_of(found))
    figures: dict[str, Figure] = {}
    for metric in found:
        figures |= metric.floor(metric.sample(reference, rows), Resampling(RESAMPLINGS, seed))
    return figures


def _warn(source: ClipSource, figures: Mapping[str, Figure], metrics: Sequence[BoundMetric]) -> None:
    short = {base_of(name) for name in figures if name != base_of(name)}
    sizes = [
        f"{each.metric.sample_size[0]} {each.metric.sample_size[1]} for {each.name}"
        for each in metrics
        if each.name in short and isinstance(each.metric, DeclaresSampleSize)
    ]
    if sizes:
        warnings.warn(
            f"{source.name} has {len(source)} clips, fewer than the protocol requires ({', '.join(sizes)}): figures are biased "
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
