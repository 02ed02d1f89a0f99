"""Clips of codecs over time: r frames to a latent frame, where each depends on those before it.

    1 + r (f - 1) frames -> f rows of latents,   beside them the frames 0, r, 2 r, ...

Windows of such latents cannot begin anywhere: a clip is cut into windows first, each of which is encoded as a clip of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from jvid_training.data.manifest import Sequence

__all__ = ["cut", "latent_frames"]


def latent_frames(frames: int, rate: int) -> int:
    """Latent frames of a window."""
    return (frames - 1) // rate + 1


def cut(
    sequence: Sequence, frames: np.ndarray, size: int, rate: int
) -> Iterator[tuple[Sequence, np.ndarray]]:
    """A sequence with its frames, or its windows of ``size`` frames one behind the other, where latents are over time.

    The length of a window is that of its latents.
    """
    if rate == 1:
        yield sequence, frames
        return
    length = latent_frames(size, rate)
    for start in range(0, len(frames) - size + 1, size):
        yield attrs.evolve(sequence, length=length), frames[start : start + size]
