"""Motion of a clip in its pixels, without a network: it shows whether frames hold together.

    flicker    mean |x_{t+1} - x_t|               of all pixels, channels and frames, in 0..255
    jerk       mean |x_{t+1} - 2 x_t + x_{t-1}|   the second difference: 0 for brightness that changes evenly

Motion raises both, and noise that is drawn anew in each frame raises them too: independent noise of deviation s makes the first
1.13 s and the second 1.95 s (2 s / sqrt(pi) and sqrt(12 / pi) s), a ratio of 1.73, where a picture that moves smoothly has a
smaller one. Both are read against the real clips' own: lower is not better, a frozen clip has 0.
"""

from __future__ import annotations

import numpy as np

from jvid_training.evaluation.networks.protocol import Kind

__all__ = ["Pixels"]


class Pixels:
    """A feature network of two numbers per clip: flicker and jerk."""

    name = "pixels"
    kind: Kind = "clip"
    fingerprint = "pixels-1"
    figures = ("flicker", "jerk")

    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """``(n f H W 3)`` uint8 -> ``(n 2)``; a clip of fewer than three frames has jerk 0."""
        rows = []
        for clip in frames:
            difference = np.diff(clip.astype(np.int16), axis=0)
            first = np.abs(difference).mean() if len(difference) else 0.0
            second = np.abs(np.diff(difference, axis=0)).mean() if len(difference) > 1 else 0.0
            rows.append((first, second))
        return {"features": np.asarray(rows, np.float32).reshape(len(frames), 2)}
