"""Whether the frames of a clip belong together, in features phi of a frame network, one value per clip.

    agreement   mean over t of cos(phi_t, phi_{t+1})      the same thing is seen in consecutive frames
    identity    cos(phi_1, phi_f)                         the last frame still shows what the first did

Both are at most 1, which a frozen clip has: they are read against the real clips' own, beside the flicker and jerk
of the pixels (`jvid_training.evaluation.networks.pixels`). Features are positive, so that unrelated frames are well above 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["agreement", "identity"]


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
