"""Features to figures, by kind of network."""

from __future__ import annotations

from typing import Any

import numpy as np

from jvid_training.evaluation.bootstrap import frechet_interval, mean_interval
from jvid_training.evaluation.cache import Features
from jvid_training.evaluation.consistency import agreement, identity
from jvid_training.evaluation.figures import Figure, named
from jvid_training.evaluation.networks.pixels import Pixels
from jvid_training.evaluation.networks.protocol import FeatureNetwork
from jvid_training.evaluation.recognition import Recogniser, proportion
from jvid_training.evaluation.sources import ClipSource
from jvid_training.evaluation.statistics import frechet_distance, inception_score, moments_of

__all__ = ["action", "consistency", "distance", "inception", "kind_of", "label_of", "motion"]


def kind_of(network: FeatureNetwork) -> str:
    """Which distance its features give."""
    return "FVD" if network.kind == "clip" else "FID"


def label_of(network: FeatureNetwork) -> str | None:
    """Its name in brackets; none for the standard network."""
    return None if network.standard else network.name


def distance(
    network: FeatureNetwork, features: Features, real: Features, clips: int, bootstrap: int, seed: int
) -> dict[str, Figure]:
    """FVD or FID, under its full name."""
    rows, moments = features["features"], moments_of(real["features"])
    count = int(np.prod(rows.shape[:-1]))
    value = frechet_distance(moments_of(rows), moments)
    low, high = frechet_interval(value, rows, moments, bootstrap, seed)
    note = f"against {clips} real clips"
    return {named(kind_of(network), label_of(network), count): Figure(value, low, high, "lower", note)}


def inception(network: FeatureNetwork, features: Features) -> dict[str, Figure]:
    """The inception score, its deviation over the splits as its interval."""
    key = next((key for key in ("probabilities", "logits") if key in features), None)
    if key is None:
        return {}
    rows = features[key].reshape(-1, features[key].shape[-1])
    value, deviation = inception_score(rows, logits=key == "logits")
    figure = Figure(value, value - deviation, value + deviation, "higher", "deviation over 10 splits")
    return {named("IS", label_of(network), len(rows)): figure}


def consistency(network: FeatureNetwork, features: Features, bootstrap: int, seed: int) -> dict[str, Figure]:
    """Agreement of consecutive frames, and of the first with the last."""
    figures = {}
    for what, function in (("agreement", agreement), ("identity", identity)):
        figures[f"{what}[{network.name}]"] = mean_figure(function(features["features"]), bootstrap, seed)
    return figures


def mean_figure(values: Any, bootstrap: int, seed: int, scale: float = 1.0, note: str = "") -> Figure:
    """The mean of one value per clip."""
    values = np.asarray(values, np.float64) * scale
    low, high = mean_interval(values, bootstrap, seed)
    return Figure(float(values.mean()), low, high, None, note)


def motion(own: Features, real: Features, bootstrap: int, seed: int) -> dict[str, Figure]:
    """Flicker and jerk, and their ratios to the reference's."""
    figures: dict[str, Figure] = {}
    for column, what in enumerate(Pixels.figures):
        values, base = (np.asarray(part["features"][:, column], np.float64) for part in (own, real))
        figures[what] = mean_figure(values, bootstrap, seed, note="of 255")
        if base.mean() > 0:
            figures[f"{what} ratio"] = mean_figure(
                values, bootstrap, seed, 1 / float(base.mean()), "to the reference's"
            )
    return figures


def action(recogniser: Recogniser, source: ClipSource, features: Features) -> dict[str, Figure]:
    """The share of clips that show the prompted action; of real clips only those of actors that it was not trained on."""
    asked = recogniser.asked(source.labels)
    actors = getattr(source, "actors", None) or [None] * len(asked)
    rows = [
        index
        for index, name in enumerate(asked)
        if name is not None and actors[index] not in recogniser.actors
    ]
    if not rows:
        return {}
    seen = recogniser.linear.predict(np.asarray(features[recogniser.layer])[rows])
    right = sum(name == asked[index] for index, name in zip(rows, seen, strict=True))
    figure = Figure(*proportion(right, len(rows)), "higher", f"{right} of {len(rows)} clips")
    return {f"action[{recogniser.network}]": figure}
