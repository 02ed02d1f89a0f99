"""Intervals by resampling whole clips, so that the frames of one stay together; the reference is held fixed.

A mean over clips: the percentile bootstrap, n clips drawn with replacement.

The Frechet distance is biased upwards by an amount that falls with the number of clips, and drawing with
replacement, which repeats clips, adds as much again: percentiles of such replicates lie above the figure
itself. Here a replicate is a random half of the clips, none twice. The variance of a half's figure about all
halves' mean is that of the whole's about its expectation (1/(n/2) - 1/n = 1/n, the delete-half jackknife: Shao
and Wu 1989, Annals of Statistics 17:1176), so the interval is

    figure + percentiles of (replicates - their mean)

It covers the figure that n other clips of the same sampler would give on average: figures compare at equal n,
and no bias is taken out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvid_training.data.streams import generator
from jvid_training.evaluation.statistics import Moments, root_of

__all__ = ["LEVEL", "frechet_interval", "mean_interval"]

LEVEL = 0.95
_FEWEST = 4
Array = NDArray[np.float64]
Interval = tuple[float, float] | tuple[None, None]


def _percentiles(values: Any) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_interval(values: Any, count: int = 200, seed: int = 0) -> Interval:
    """Of the mean of one value per clip ``(n)``; (None, None) for fewer than 4 clips or a ``count`` of 0."""
    values = np.asarray(values, np.float64)
    if len(values) < _FEWEST or not count:
        return None, None
    random = generator(seed, 1, 0)
    means = [values[random.integers(len(values), size=len(values))].mean() for _ in range(count)]
    return _percentiles(means)


def frechet_interval(
    figure: float, features: Any, reference: Moments, count: int = 200, seed: int = 0
) -> Interval:
    """Of the distance of features ``(n d)`` or ``(n f d)`` from ``reference``; see the module's head.

    With X' the rows of a half and R a root of the reference's covariance, tr (S S_r)^{1/2} is the nuclear norm
    of X' R^T, so that rows are projected once, and a replicate costs one product and the eigenvalues of the
    smaller side.
    """
    features = np.asarray(features)
    clips = features.reshape(len(features), -1, features.shape[-1])
    n, frames, _ = clips.shape
    if n < _FEWEST or not count:
        return None, None
    root = root_of(reference)
    projected = np.empty((n, frames, len(root)))
    sums = np.empty((n, clips.shape[-1]))
    squares = np.empty(n)
    for number, clip in enumerate(clips):
        clip = clip.astype(np.float64) - reference.mean
        projected[number] = clip @ root.T
        sums[number] = clip.sum(0)
        squares[number] = (clip**2).sum()
    random = generator(seed, 2, 0)
    size = n // 2
    replicates = []
    for _ in range(count):
        chosen = random.permutation(n)[:size]
        gap = sums[chosen].sum(0) / (size * frames)
        trace = squares[chosen].sum() / (size * frames) - gap @ gap
        rows = projected[chosen].reshape(size * frames, -1)
        rows -= rows.mean(0)
        replicates.append(gap @ gap + trace - 2 * _nuclear(rows) / np.sqrt(size * frames))
    # The reference's own trace is the same in all of them; an odd n makes halves a little smaller than n / 2.
    scale = np.sqrt(size / (n - size))
    low, high = _percentiles((np.asarray(replicates) - np.mean(replicates)) * scale)
    return float(figure + low), float(figure + high)


def _nuclear(rows: Array) -> float:
    gram = rows.T @ rows if rows.shape[0] > rows.shape[1] else rows @ rows.T
    return float(np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0.0, None)).sum())
