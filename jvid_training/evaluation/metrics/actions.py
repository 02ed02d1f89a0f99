"""The share of clips in which the prompted action is recognised; see `jvid_training.evaluation.recognition`."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from jvid.core.metrics import Better, ClipSample, FeatureNetwork, Resampling, Score
from jvid_training.evaluation.metrics.naming import checked_network
from jvid_training.evaluation.recognition import Recogniser, proportion, train_recogniser
from jvid_training.evaluation.sample import actors_of, holdout_of

__all__ = ["ActionAccuracy", "action"]


@attrs.frozen(eq=False)
class ActionAccuracy:
    """Accuracy of a classifier that is trained on the reference's training actors.

    None without labels and actors. A classifier is trained once for each reference and kept by its fingerprint.
    """

    network: FeatureNetwork
    better: Better = attrs.field(default="higher", init=False)
    unit: str = attrs.field(default="", init=False)
    target: float = attrs.field(default=1.0, init=False)
    _trained: dict[str, Recogniser | None] = attrs.field(factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """The name with the network, whatever that is."""
        return f"action[{self.network.name}]"

    @property
    def features(self) -> tuple[FeatureNetwork, ...]:
        """The network."""
        return (self.network,)

    def recogniser(self, reference: ClipSample) -> Recogniser | None:
        """The classifier; None where the clips have no actors, or fewer than two training actors or actions."""
        if reference.fingerprint not in self._trained:
            self._trained[reference.fingerprint] = self._train(reference)
        return self._trained[reference.fingerprint]

    def _train(self, reference: ClipSample) -> Recogniser | None:
        actors, holdout = actors_of(reference), holdout_of(reference)
        if actors is None or len(set(reference.labels)) < 2 or len(set(actors) - set(holdout)) < 2:
            return None
        return train_recogniser(self.network.name, reference.features[0], reference.labels, actors, holdout)

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Score | None:
        """Of real clips only those of actors that the classifier was not trained on count."""
        recogniser = self.recogniser(reference)
        if recogniser is None:
            return None
        prompted = recogniser.prompted(clips.labels)
        actors: Sequence[str | None] = actors_of(clips) or [None] * len(prompted)
        rows = [
            index
            for index, name in enumerate(prompted)
            if name is not None and actors[index] not in recogniser.actors
        ]
        if not rows:
            return None
        seen = recogniser.linear.predict(np.asarray(clips.features[0][recogniser.layer])[rows])
        right = sum(name == prompted[index] for index, name in zip(rows, seen, strict=True))
        return Score(*proportion(right, len(rows)), f"{right} of {len(rows)} clips")

    def floor(self, reference: ClipSample, resampling: Resampling) -> Score | None:
        """The classifier on the clips of held-out actors."""
        recogniser = self.recogniser(reference)
        if recogniser is None or not recogniser.held_out[1]:
            return None
        right, count = recogniser.held_out
        return Score(*proportion(right, count), f"{count} clips of held-out actors")


def action(features: FeatureNetwork | None = None) -> ActionAccuracy:
    """Share of clips whose prompted action is recognised; by default from I3D's features."""
    return ActionAccuracy(checked_network(features, "i3d", "clip"))
