"""FVD and FID: the squared Frechet distance of features from the reference's.

See `jvid_training.evaluation.statistics` for the formula and `jvid_training.evaluation.bootstrap` for the interval.
"""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from jvid.core.metrics import Better, ClipSample, FeatureNetwork, Resampling, Score
from jvid_training.data.streams import generator
from jvid_training.evaluation.bootstrap import frechet_interval
from jvid_training.evaluation.metrics.naming import bracketed, checked_network
from jvid_training.evaluation.sample import files_of
from jvid_training.evaluation.statistics import frechet_distance, moments_of

__all__ = ["FrechetDistance", "fid", "fvd"]

HALVES = 10


@attrs.frozen(eq=False)
class FrechetDistance:
    """Frechet distance of one network's features; ``title`` is "FVD" or "FID"."""

    title: str
    network: FeatureNetwork
    sample_size: tuple[int, Literal["clips", "frames"]]
    better: Better = attrs.field(default="lower", init=False)
    unit: str = attrs.field(default="", init=False)

    @property
    def name(self) -> str:
        """The title with the network in brackets."""
        return bracketed(self.title, self.network)

    @property
    def features(self) -> tuple[FeatureNetwork, ...]:
        """The network."""
        return (self.network,)

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Score:
        """The distance of all rows, which are of clips or of frames."""
        rows, real = (sample.features[0]["features"] for sample in (clips, reference))
        moments = moments_of(real)
        value = frechet_distance(moments_of(rows), moments)
        low, high = frechet_interval(value, rows, moments, resampling.count, resampling.seed)
        return Score(value, low, high, f"against {len(reference)} real clips", int(np.prod(rows.shape[:-1])))

    def floor(self, reference: ClipSample, resampling: Resampling) -> Score | None:
        """Random halves of the reference's files against each other: mean and range."""
        rows = reference.features[0]["features"]
        files = files_of(reference)
        every = np.unique(files)
        distances = []
        for number in range(HALVES if len(every) > 1 else 0):
            order = generator(resampling.seed, 3, number).permutation(every)
            one = np.isin(files, order[: len(order) // 2])
            sides = (moments_of(rows, np.flatnonzero(side)) for side in (one, ~one))
            distances.append(frechet_distance(*sides))
        if not distances:
            return None
        note = f"{HALVES} random halves of {len(every)} files, {len(reference) // 2} clips a side; range"
        return Score(float(np.mean(distances)), min(distances), max(distances), note)


def fvd(features: FeatureNetwork | None = None) -> FrechetDistance:
    """Frechet distance of clips' features; by default I3D's logits."""
    return FrechetDistance("FVD", checked_network(features, "i3d", "clip"), (2048, "clips"))


def fid(features: FeatureNetwork | None = None) -> FrechetDistance:
    """Frechet distance of frames' features; by default EfficientNet-lite0's."""
    return FrechetDistance(
        "FID", checked_network(features, "efficientnet-lite0", "frame"), (50_000, "frames")
    )
