"""Which action is seen: multinomial logistic regression on a clip network's features, trained on real clips.

    min over W, b   mean cross-entropy + (s / 2) |W|^2        features standardised over the training clips

Trained on the training actors' windows. The strength s and the layer are those that name most clips right when
one training actor after another is left out; the actors held out of the models' training are never part of
that, and measure how good it is. No noise is added to the clips: a classifier that forgives noise goes blind to
flicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from scipy.stats import binomtest

from jvid.errors import InputError
from jvid_models.prompts import normalise_prompt

__all__ = ["Linear", "Recogniser", "proportion", "train_recogniser"]

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
LAYERS = ("pooled", "features")
Array = NDArray[np.float64]


def _minimum(rows: Array, target: Array, strength: float, start: Array) -> Array:
    """Weights and biases ``(classes d + 1)``, flat: rows ``(n d)``, one-hot target ``(n classes)``."""

    def loss(flat: Array) -> tuple[float, Array]:
        part = flat.reshape(target.shape[1], -1)
        weight, bias = part[:, :-1], part[:, -1]
        logs = log_softmax(rows @ weight.T + bias, axis=1)
        error = (np.exp(logs) - target) / len(rows)
        gradient = np.concatenate([error.T @ rows + strength * weight, error.sum(0)[:, None]], 1)
        return -(target * logs).sum() / len(rows) + strength / 2 * (weight**2).sum(), gradient.ravel()

    found: Array = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return found


@attrs.frozen(eq=False)
class Linear:
    """Classes of standardised features."""

    classes: tuple[str, ...]
    mean: Array
    std: Array
    weight: Array
    bias: Array

    @classmethod
    def fit(cls, features: Any, labels: Sequence[str], strength: float) -> Linear:
        """Features ``(n d)`` and a class for each row."""
        return cls.fit_all(features, labels, [strength])[0]

    @classmethod
    def fit_all(cls, features: Any, labels: Sequence[str], strengths: Sequence[float]) -> list[Linear]:
        """One for each strength, in their order; what does not depend on the strength is done once."""
        classes = tuple(sorted(set(labels)))
        if len(classes) < 2:
            raise InputError(f"one action only ({', '.join(classes)}): a classifier needs at least two")
        rows = np.asarray(features, np.float64)
        mean, std = rows.mean(0), rows.std(0) + 1e-6
        rows = (rows - mean) / std
        # The solution lies in the span of the rows: with fewer rows than columns it is found there.
        basis = (
            np.linalg.svd(rows, full_matrices=False)[2]
            if len(rows) < rows.shape[1]
            else np.eye(rows.shape[1])
        )
        low = rows @ basis.T
        target = np.eye(len(classes))[[classes.index(label) for label in labels]]
        # The strongest first: each minimum is near the next one, so that it is the next one's start.
        flat = np.zeros(len(classes) * (low.shape[1] + 1))
        fitted = {}
        for strength in sorted(strengths, reverse=True):
            flat = _minimum(low, target, strength, flat)
            found = flat.reshape(len(classes), -1)
            fitted[strength] = cls(classes, mean, std, found[:, :-1] @ basis, found[:, -1])
        return [fitted[strength] for strength in strengths]

    def predict(self, features: Any) -> list[str]:
        """The likeliest class of each row ``(n d)``."""
        return [self.classes[index] for index in self.scores(features).argmax(1)]

    def scores(self, features: Any) -> np.ndarray:
        """Logits ``(n classes)`` of each row ``(n d)``; their softmax is the probability of each class."""
        scores: np.ndarray = (
            np.asarray(features, np.float64) - self.mean
        ) / self.std @ self.weight.T + self.bias
        return scores


@attrs.frozen(eq=False)
class Recogniser:
    """A trained classifier and its accuracy on real clips, as (right answers, clips)."""

    network: str
    layer: str
    strength: float
    linear: Linear
    actors: tuple[str, ...]
    """Those it was trained on."""
    left_out: tuple[int, int]
    """Clips of training actors, each by a classifier that did not see the actor; chose layer and strength."""
    held_out: tuple[int, int]
    """Clips of the actors held out; chose nothing."""

    def prompted(self, labels: Sequence[str]) -> list[str | None]:
        """The class that each label means; None where it names none of them."""
        known = {normalise_prompt(name): name for name in self.linear.classes}
        return [known.get(normalise_prompt(label)) for label in labels]

    def to_dict(self) -> dict[str, Any]:
        """How it was chosen and how good it is."""
        return {
            "network": self.network,
            "layer": self.layer,
            "strength": self.strength,
            "classes": list(self.linear.classes),
            "left_out": list(self.left_out),
            "held_out": list(self.held_out),
        }


def train_recogniser(
    network: str,
    features: Any,
    labels: Sequence[str],
    actors: Sequence[str],
    holdout: Sequence[str],
) -> Recogniser:
    """``features``: arrays ``(n d)`` by layer, of real clips with a label and an actor each.

    Raises InputError with fewer than two training actors or actions.
    """
    held = np.isin(np.asarray(actors), list(holdout))
    training = np.flatnonzero(~held)
    names = sorted(set(actors) - set(holdout))
    if len(names) < 2:
        raise InputError(f"{len(names)} actors to train an action classifier on: expected at least two")
    words = np.asarray(labels)
    best: tuple[int, str, float] | None = None
    for layer in (layer for layer in LAYERS if layer in features):
        rows = np.asarray(features[layer])
        right = dict.fromkeys(STRENGTHS, 0)
        for name in names:
            out = np.asarray([index for index in training if actors[int(index)] == name])
            rest = np.setdiff1d(training, out)
            for strength, linear in zip(
                STRENGTHS, Linear.fit_all(rows[rest], words[rest].tolist(), STRENGTHS), strict=True
            ):
                right[strength] += int((np.asarray(linear.predict(rows[out])) == words[out]).sum())
        for strength, count in right.items():
            if best is None or count > best[0]:
                best = count, layer, strength
    if best is None:
        raise InputError(f"{network} has no features per clip: give a clip network, such as i3d")
    chosen, layer, strength = best
    rows = np.asarray(features[layer])
    linear = Linear.fit(rows[training], words[training].tolist(), strength)
    known = np.flatnonzero(held)
    named = int((np.asarray(linear.predict(rows[known])) == words[known]).sum()) if len(known) else 0
    return Recogniser(
        network, layer, strength, linear, tuple(names), (chosen, len(training)), (named, len(known))
    )


def proportion(right: int, count: int) -> tuple[float, float, float]:
    """Share, and Wilson's 95 % interval of it."""
    interval = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return right / count, float(interval.low), float(interval.high)
