"""The inception score of a frame network that knows classes; see `jvid_training.evaluation.statistics`."""

from __future__ import annotations

from typing import Literal

import attrs

from jvid.core.metrics import Better, ClipSample, FeatureNetwork, Resampling, Score
from jvid_training.evaluation.metrics.naming import bracketed, checked_network
from jvid_training.evaluation.statistics import inception_score

__all__ = ["InceptionScore", "score"]


@attrs.frozen(eq=False)
class InceptionScore:
    """Inception score in 10 splits, whose deviation is its interval; none for a network without classes."""

    network: FeatureNetwork
    sample_size: tuple[int, Literal["clips", "frames"]] = attrs.field(default=(50_000, "frames"), init=False)
    better: Better = attrs.field(default="higher", init=False)
    unit: str = attrs.field(default="", init=False)

    @property
    def name(self) -> str:
        """The score's short form with the network in brackets."""
        return bracketed("IS", self.network)

    @property
    def features(self) -> tuple[FeatureNetwork, ...]:
        """The network."""
        return (self.network,)

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Score | None:
        """The score of all frames in their order."""
        outputs = clips.features[0]
        key = next((key for key in ("probabilities", "logits") if key in outputs), None)
        if key is None:
            return None
        rows = outputs[key].reshape(-1, outputs[key].shape[-1])
        value, deviation = inception_score(rows, logits=key == "logits")
        return Score(value, value - deviation, value + deviation, "deviation over 10 splits", len(rows))


def score(features: FeatureNetwork | None = None) -> InceptionScore:
    """Inception score of frames; by default by EfficientNet-lite0's classes."""
    return InceptionScore(checked_network(features, "efficientnet-lite0", "frame"))
