"""Whether the frames of a clip belong together, in features phi of a frame network, one value per clip.

    agreement   mean over t of cos(phi_t, phi_{t+1})      the same thing is seen in consecutive frames
    identity    cos(phi_1, phi_f)                         the last frame still shows what the first did

Both are at most 1, which a frozen clip has: they are read against the real clips' own, beside the flicker and jerk
of the pixels (`jvid_training.evaluation.networks.pixels`). Features are positive, so that unrelated frames are well above 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from jvid.core.metrics import Better, ClipSample, FeatureNetwork, Resampling
from jvid_training.evaluation.metrics.naming import checked_network

__all__ = ["FrameCoherence", "agreement", "agreement_metric", "identity", "identity_metric"]


def agreement(features: Any) -> NDArray[np.float64]:
    """Frame features ``(n f d)`` -> ``(n)``; 1 for clips of a single frame."""
    if features.shape[1] < 2:
        return np.ones(len(features))
    return np.asarray([_cosine(clip[:-1], clip[1:]).mean() for clip in features])


def identity(features: Any) -> NDArray[np.float64]:
    """Frame features ``(n f d)`` -> ``(n)``."""
    return np.asarray([_cosine(clip[0], clip[-1]) for clip in features])


def _cosine(first: Any, second: Any) -> NDArray[np.float64]:
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    made: NDArray[np.float64] = (first * second).sum(-1) / np.maximum(lengths, 1e-12)
    return made


@attrs.frozen(eq=False)
class FrameCoherence:
    """Cosines of a clip's frames by one of the module's two functions; ``title`` names it."""

    title: str
    of: Callable[[Any], NDArray[np.float64]]
    network: FeatureNetwork
    better: Better | None = attrs.field(default=None, init=False)
    unit: str = attrs.field(default="", init=False)

    @property
    def name(self) -> str:
        """The title with the network, whatever that is."""
        return f"{self.title}[{self.network.name}]"

    @property
    def features(self) -> tuple[FeatureNetwork, ...]:
        """The network."""
        return (self.network,)

    def compute(
        self, clips: ClipSample, reference: ClipSample, resampling: Resampling
    ) -> NDArray[np.float64]:
        """The cosines of each clip."""
        return self.of(clips.features[0]["features"])


def agreement_metric(features: FeatureNetwork | None = None) -> FrameCoherence:
    """Cosine of consecutive frames' features; by default EfficientNet-lite0's."""
    return FrameCoherence("agreement", agreement, checked_network(features, "efficientnet-lite0", "frame"))


def identity_metric(features: FeatureNetwork | None = None) -> FrameCoherence:
    """Cosine of the first and the last frame's features; by default EfficientNet-lite0's."""
    return FrameCoherence("identity", identity, checked_network(features, "efficientnet-lite0", "frame"))
