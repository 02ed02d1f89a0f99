"""The share of attributes of its prompt that a classifier reads off a clip.

A prompt's attributes are those of the reference's clips that it is a caption of, as their metadata states them; the classifier
is a folder that `jvid_training.evaluation.attributes` wrote. What it reads of a clip is the value of the highest mean log
probability over its frames. Its accuracy on the real clips is the figure's floor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np

from jvid.core.metrics import Better, ClipSample, Resampling
from jvid.errors import InputError
from jvid.selectors.texts import names
from jvid_training.evaluation.networks.attributes import AttributeNetwork
from jvid_training.evaluation.sample import attributes_of, true_clips

__all__ = ["Attributes", "attributes"]


@attrs.frozen(eq=False)
class Attributes:
    """The share of the attributes ``keys`` that are right, for each clip whose prompt is a caption of the reference."""

    network: AttributeNetwork
    keys: tuple[str, ...]
    better: Better = attrs.field(default="higher", init=False)
    unit: str = attrs.field(default="", init=False)
    target: float = attrs.field(default=1.0, init=False)

    @property
    def name(self) -> str:
        """With the attributes in brackets where they are not all that the classifier knows."""
        return (
            "attributes" if self.keys == tuple(self.network.values) else f"attributes[{', '.join(self.keys)}]"
        )

    @property
    def features(self) -> tuple[AttributeNetwork, ...]:
        """The classifier."""
        return (self.network,)

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> np.ndarray | None:
        """A share for each clip ``(n)``; None where no prompt is a caption of the reference, or that has no attributes.

        Attributes that the prompt leaves open, since clips of several values have it as a caption, do not count.
        """
        stated = attributes_of(reference)
        if stated is None:
            return None
        logits = np.asarray(clips.features[0]["logits"], np.float64)
        seen = {key: logs.mean(1).argmax(-1) for key, logs in self.network.log_probabilities(logits).items()}
        shares = []
        for index, true in enumerate(true_clips(clips, reference)):
            right = []
            for key in self.keys:
                expected = {str(stated[each].get(key)) for each in true}
                if len(expected) == 1:
                    right.append(self.network.values[key][seen[key][index]] in expected)
            if right:
                shares.append(math.fsum(right) / len(right))
        return np.asarray(shares) if shares else None


def attributes(path: str, keys: str | Sequence[str] = (), leave_out: str | Sequence[str] = ()) -> Attributes:
    """Share of the prompt's attributes that the classifier in the folder ``path`` names; ``keys`` are some of them.

    Raises:
        InputError: an attribute that the classifier does not know, or none left.
    """
    network = AttributeNetwork(path)
    keys, leave_out = names(keys), names(leave_out)
    for key in (*keys, *leave_out):
        if key not in network.values:
            raise InputError(f"attribute {key!r}: the classifier in {path} knows {', '.join(network.values)}")
    chosen = tuple(key for key in keys or network.values if key not in leave_out)
    if not chosen:
        raise InputError(f"keys={list(keys)}, leave_out={list(leave_out)}: no attribute is left")
    return Attributes(network, chosen)
