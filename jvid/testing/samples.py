"""Clips that feature networks and metrics are checked on: drawn from a seed, held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

from jvid.core.metric_values import rows_of
from jvid.core.metrics import FeatureNetwork

__all__ = ["DrawnClips", "drawn_frames"]


def drawn_frames(count: int, frames: int, side: int, seed: int) -> np.ndarray:
    """Frames uint8 ``(count, frames, side, side + 1, 3)`` that depend on the arguments alone: each clip a scene that moves."""
    random = np.random.Generator(np.random.Philox(seed))
    scene = random.integers(0, 200, (count, 1, side, side + 1, 3))
    return (scene + random.integers(0, 56, (count, frames, side, side + 1, 3))).astype(np.uint8)


@attrs.frozen(eq=False)
class DrawnClips:
    """A `jvid.ClipSample` of frames uint8 ``(n f H W 3)`` in memory, with the rows of ``networks``."""

    array: np.ndarray
    networks: Sequence[FeatureNetwork] = ()
    labels: Sequence[str] = attrs.field(kw_only=True)
    name: str = attrs.field(default="drawn", kw_only=True)
    fps: float = attrs.field(default=12.5, kw_only=True)
    features: tuple[Mapping[str, np.ndarray], ...] = attrs.field(init=False)

    @labels.default
    def _labels(self) -> tuple[str, ...]:
        return tuple(("walking", "running")[index % 2] for index in range(len(self.array)))

    @features.default
    def _features(self) -> tuple[Mapping[str, np.ndarray], ...]:
        found = [rows_of(network, self.array.copy()) for network in self.networks]
        return tuple({key: np.asarray(rows, np.float32) for key, rows in each.items()} for each in found)

    @property
    def frames(self) -> int:
        """Frames of each clip."""
        return int(self.array.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.array.shape[2]), int(self.array.shape[3])

    @property
    def fingerprint(self) -> str:
        """A digest of the frames."""
        return hashlib.sha256(self.array.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.array)

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """Frames uint8 ``(n f H W 3)``, in order."""
        for start in range(0, len(self), size):
            yield self.array[start : start + size]

    def taken(self, order: Sequence[int]) -> DrawnClips:
        """The clips in another order."""
        labels = [self.labels[index] for index in order]
        return DrawnClips(self.array[list(order)], self.networks, labels=labels, name=self.name, fps=self.fps)
