"""The protocol of what shows clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

__all__ = ["ClipSource"]


class ClipSource(Protocol):
    """Anything that shows clips of one size, length and frame rate."""

    @property
    def name(self) -> str:
        """As tables show it."""

    @property
    def fps(self) -> float:
        """Frames per second."""

    @property
    def frames(self) -> int:
        """Of each clip."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""

    @property
    def fingerprint(self) -> str:
        """Hex; equal iff the clips are: part of the key of the feature cache."""

    @property
    def labels(self) -> Sequence[str]:
        """A clip's action in words ("waving two hands"), one per clip; "" without one."""

    def __len__(self) -> int: ...

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """uint8 ``(n f H W 3)``, in order."""
