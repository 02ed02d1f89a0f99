"""References of postprocessors, ``(x) -> x``, in numpy, clip by clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["gaussian", "temporal", "uniform"]

Array = NDArray[np.float64]


def temporal(x: Tensor, *, threshold: float = 2.0) -> Array:
    """Section 3.6 of the paper: where sum_c |s - mu| / sd is below the threshold, a latent becomes its mean over time."""
    out = x.numpy().copy()
    for clip in out:
        mu = clip.mean(1)
        sd = mu.std(axis=(1, 2))
        for frame in range(clip.shape[1]):
            moved = np.abs(clip[:, frame] - mu)
            moved[moved < 1e-12] = 0.0
            v = sum(
                np.where(moved[c] > 0, moved[c] / sd[c] if sd[c] > 1e-12 else np.inf, 0.0)
                for c in range(len(sd))
            )
            clip[:, frame] = np.where(v < threshold, mu, clip[:, frame])
    return out


def _filtered(x: Tensor, weights: Array) -> Array:
    radius = len(weights) // 2
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (radius, radius), (0, 0), (0, 0)), mode="edge")
    return sum(
        (weight * padded[:, :, k : k + x.shape[2]] for k, weight in enumerate(weights)), np.zeros(x.shape)
    )


def gaussian(x: Tensor, *, std: float = 1.0) -> Array:
    """A normalised Gaussian over frames, cut at four deviations, the end frames repeated."""
    radius = int(np.ceil(4.0 * std))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(std, 1e-12)) ** 2)
    return _filtered(x, weights / weights.sum())


def uniform(x: Tensor, *, size: int = 3) -> Array:
    """The mean of ``size`` frames, the end frames repeated."""
    return _filtered(x, np.full(size, 1.0 / size))
