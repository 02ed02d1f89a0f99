"""Wrong feature networks: rows lost, shared between clips, remembered, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from tests.mutants import mutant


class Colours:
    """Right: the mean colour of each clip; what a mutant changes is a method or an attribute."""

    name = "colours"
    kind = "clip"
    fingerprint = "colours-1"

    def __call__(self, frames: np.ndarray) -> Any:
        """Rows ``(n 3)``."""
        return frames.astype(np.float32).mean((1, 2, 3))


@mutant("features", "it_declares_itself")
class of_the_year(Colours):
    """The kind is the network's family, in place of what a row is of."""

    kind = "cnn"


@mutant("features", "it_declares_itself")
class stamped(Colours):
    """The fingerprint counts up, so that no row is ever found again."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        self.count += 1
        return f"colours-{self.count}"


@mutant("features", "rows_of_its_kind")
class of_frames(Colours):
    """It declares rows of clips and returns rows of frames."""

    def __call__(self, frames: np.ndarray) -> Any:
        return frames.astype(np.float32).mean((2, 3))


@mutant("features", "rows_of_its_kind")
class one_row(Colours):
    """The mean over the batch, too: one row for all clips."""

    def __call__(self, frames: np.ndarray) -> Any:
        return super().__call__(frames).mean(0, keepdims=True)


@mutant("features", "rows_of_its_kind")
class without_a_still(Colours):
    """Divided by the motion of the clip, which is 0 for a single frame."""

    def __call__(self, frames: np.ndarray) -> Any:
        with np.errstate(all="ignore"):
            return super().__call__(frames) / frames.astype(np.float32).std(1).mean((1, 2))


@mutant("features", "rows_of_its_kind")
class flattened(Colours):
    """The rows are flattened into one long one."""

    def __call__(self, frames: np.ndarray) -> Any:
        return super().__call__(frames).ravel()


@mutant("features", "rows_of_its_kind")
class only_logits(Colours):
    """The rows have another name than the one that is read."""

    def __call__(self, frames: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"logits": super().__call__(frames)}


@mutant("features", "a_row_is_of_its_clip_alone")
class in_training(Colours):
    """Batch norm in training mode: rows are centred over the batch."""

    def __call__(self, frames: np.ndarray) -> Any:
        rows = super().__call__(frames)
        return rows - rows.mean(0)


@mutant("features", "a_row_is_of_its_clip_alone")
class turned(Colours):
    """Rows come in the order in which the clips finished: the last one first."""

    def __call__(self, frames: np.ndarray) -> Any:
        return super().__call__(frames)[::-1].copy()


@mutant("features", "frames_untouched")
class in_place(Colours):
    """Frames are centred in place."""

    def __call__(self, frames: np.ndarray) -> Any:
        frames -= 10
        return super().__call__(frames)


@mutant("features", "frames_untouched")
class wants_to_write(Colours):
    """The frames are marked as seen, which a memory map does not allow."""

    def __call__(self, frames: np.ndarray) -> Any:
        frames[:1, :1, :1, :1, :1] = frames[:1, :1, :1, :1, :1]
        return super().__call__(frames)


@mutant("features", "the_same_each_time")
class running(Colours):
    """Rows are centred by a running mean of all that it has seen."""

    def __init__(self) -> None:
        self.mean = np.zeros(3, np.float32)

    def __call__(self, frames: np.ndarray) -> Any:
        rows = super().__call__(frames)
        self.mean = 0.9 * self.mean + 0.1 * rows.mean(0)
        return rows - self.mean


@mutant("features", "the_same_each_time")
class one_buffer(Colours):
    """The rows are a buffer that the next call fills."""

    def __init__(self) -> None:
        self.buffers: dict[int, np.ndarray] = {}

    def __call__(self, frames: np.ndarray) -> Any:
        rows = super().__call__(frames)
        buffer = self.buffers.setdefault(len(rows), np.empty_like(rows))
        buffer[:] = rows
        return buffer


@mutant("features", "globals_untouched")
class dropout(Colours):
    """Dropout was left on, drawn from torch's generator."""

    def __call__(self, frames: np.ndarray) -> Any:
        return super().__call__(frames) * (torch.rand(3).numpy() > 0.1)
