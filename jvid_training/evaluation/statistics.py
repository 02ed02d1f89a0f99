"""Streaming moments, the Frechet distance of two Gaussians, and the inception score; all in float64.

    d^2 = |m_1 - m_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^{1/2}

With S_i = R_i^T R_i the last trace is the nuclear norm of R_1 R_2^T, a sum of singular values: no root of a matrix that may be
singular is taken, nothing turns complex, and fewer samples than dimensions are no special case (Dowson and
Landau 1982; Heusel et al. 2017, https://arxiv.org/abs/1706.08500). Covariances divide by n, as StyleGAN-V's code does.

    IS = exp mean_x KL(p(y|x) || p(y))            mean and deviation over splits (Salimans et al. 2016)
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax, xlogy

from jvid.errors import InputError

__all__ = ["Moments", "frechet_distance", "inception_score", "moments_of", "root_of"]

Array = NDArray[np.float64]
_CHUNK = 4096


@attrs.frozen(eq=False)
class Moments:
    """Count, mean ``(d)`` and scatter ``(d d)`` (sum of outer products about the mean) of rows seen so far."""

    count: int
    mean: Array
    scatter: Array

    @classmethod
    def empty(cls, width: int) -> Moments:
        """Of no rows."""
        return cls(0, np.zeros(width), np.zeros((width, width)))

    def merged(self, other: Moments) -> Moments:
        """Of both sets of rows (Chan, Golub and LeVeque 1979): parts merge to the whole in any order."""
        if self.mean.shape != other.mean.shape:
            raise InputError(
                f"features {len(self.mean)} and {len(other.mean)} wide: expected those of one network, compute them again"
            )
        count = self.count + other.count
        if not count:
            return self
        step = other.mean - self.mean
        shift = np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), self.scatter + other.scatter + shift)

    def updated(self, rows: Any) -> Moments:
        """With more rows ``(n d)`` of any real dtype."""
        rows = np.asarray(rows, np.float64)
        if not len(rows):
            return self
        mean = rows.mean(0)
        centred = rows - mean
        return self.merged(Moments(len(rows), mean, centred.T @ centred))

    @property
    def covariance(self) -> Array:
        """``(d d)``, divided by n."""
        return self.scatter / max(self.count, 1)


def moments_of(features: Any, clips: Any = None) -> Moments:
    """Of features ``(n d)`` or ``(n f d)``, or of some ``clips`` (indices) of them, a chunk at a time.

    ``features`` may be a memory map: what is held does not grow with n.
    """
    frames = 1 if features.ndim == 2 else features.shape[1]
    chosen = range(len(features)) if clips is None else clips
    found = Moments.empty(features.shape[-1])
    size = max(1, _CHUNK // frames)
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        rows = features[part.start : part.stop] if isinstance(part, range) else features[np.asarray(part)]
        found = found.updated(rows.reshape(-1, features.shape[-1]))
    return found


def root_of(moments: Moments) -> Array:
    """R ``(r d)`` with R^T R the covariance, and r its rank."""
    values, vectors = np.linalg.eigh(moments.covariance)
    kept = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    root: Array = (vectors[:, kept] * np.sqrt(values[kept])).T
    return root


def frechet_distance(first: Moments, second: Moments) -> float:
    """Squared, as everybody quotes it; InputError without rows or between features of other widths."""
    if first.mean.shape != second.mean.shape:
        raise InputError(
            f"features {len(first.mean)} and {len(second.mean)} wide: expected those of one network, compute them again"
        )
    if not first.count or not second.count:
        raise InputError("a distance of no clips: expected at least one on either side")
    if not (np.isfinite(first.scatter).all() and np.isfinite(second.scatter).all()):
        raise InputError("features hold NaN or infinity: the clips are damaged, make them again")
    gap = first.mean - second.mean
    cross = np.linalg.svd(root_of(first) @ root_of(second).T, compute_uv=False).sum()
    return float(gap @ gap + np.trace(first.covariance) + np.trace(second.covariance) - 2.0 * cross)


def inception_score(rows: Any, splits: int = 10, logits: bool = False) -> tuple[float, float]:
    """Class probabilities (or ``logits``) ``(n k)``, in order -> mean and deviation of the score over equal ``splits``.

    A chunk at a time: ``rows`` may be a memory map.
    """
    splits = max(1, min(splits, len(rows)))
    edges = [number * len(rows) // splits for number in range(splits + 1)]
    scores = []
    for first, last in pairwise(edges):
        mean: Any = 0.0
        own = 0.0  # sum of p log p
        for start in range(first, last, _CHUNK):
            part = np.asarray(rows[start : min(start + _CHUNK, last)], np.float64)
            part = softmax(part, axis=1) if logits else part
            mean = mean + part.sum(0) / (last - first)
            own += xlogy(part, part).sum()
        scores.append(np.exp(own / (last - first) - xlogy(mean, mean).sum()))
    return float(np.mean(scores)), float(np.std(scores))
