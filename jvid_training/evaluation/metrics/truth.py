"""Distance of a clip to its true clip: the reference's clip that its prompt is a caption of.

    psnr               10 log10(255^2 / mean (x - y)^2)          of all pixels of all frames, in dB
    psnr-mean-frame    the same of the mean frames: the look, without the motion
    motion-error       mean |(x_{t+1} - x_t) - (y_{t+1} - y_t)|      of 255: the motion, whatever the look

Only data whose captions determine the clip have one. Where several reference clips have the prompt as a caption, the closest one
counts; clips of other prompts do not. Equal clips have 100 dB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from jvid.core.metrics import Better, ClipSample, FeatureNetwork, Resampling
from jvid_training.evaluation.sample import true_clips

__all__ = ["TrueClip", "mean_frame_psnr", "motion_error", "psnr"]

Title = Literal["PSNR", "PSNR of the mean frame", "motion error"]
Array = NDArray[np.float64]
_FLOOR = 255.0**2 * 1e-10
"""Of a mean square: 100 dB."""


def _psnr(x: Array, y: Array) -> float:
    return float(10 * np.log10(255.0**2 / max(float(np.square(x - y).mean()), _FLOOR)))


def _mean_frame(x: Array, y: Array) -> float:
    return _psnr(x.mean(0), y.mean(0))


def _motion(x: Array, y: Array) -> float:
    return float(np.abs(np.diff(x, axis=0) - np.diff(y, axis=0)).mean()) if len(x) > 1 else 0.0


_FORMULAS: dict[Title, Callable[[Array, Array], float]] = {
    "PSNR": _psnr,
    "PSNR of the mean frame": _mean_frame,
    "motion error": _motion,
}


@attrs.frozen
class TrueClip:
    """One of the formulas of the module, for each clip whose prompt is a caption of the reference."""

    name: Title

    @property
    def better(self) -> Better:
        """Closer."""
        return "lower" if self.name == "motion error" else "higher"

    @property
    def unit(self) -> str:
        """Of the values."""
        return "of 255" if self.name == "motion error" else "dB"

    @property
    def features(self) -> tuple[FeatureNetwork, ...]:
        """None: it reads the pixels."""
        return ()

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Array | None:
        """Frames ``(f H W 3)`` of 0..255 -> one number for each clip that has a true clip; None where none has."""
        pairs = true_clips(clips, reference)
        true = _chosen(reference, {index for each in pairs for index in each})
        values: list[float] = []
        place = 0
        for batch in clips.batches():
            for clip in batch:
                found = [_FORMULAS[self.name](clip.astype(np.float64), true[index]) for index in pairs[place]]
                if found:
                    values.append(min(found) if self.better == "lower" else max(found))
                place += 1
        return np.asarray(values) if values else None


def _chosen(reference: ClipSample, wanted: set[int]) -> dict[int, Array]:
    kept: dict[int, Array] = {}
    place = 0
    for batch in reference.batches() if wanted else ():
        for clip in batch:
            if place in wanted:
                kept[place] = clip.astype(np.float64)
            place += 1
    return kept


def psnr() -> TrueClip:
    """PSNR to the clip whose caption the prompt is."""
    return TrueClip("PSNR")


def mean_frame_psnr() -> TrueClip:
    """PSNR of the mean frames: whether the subject looks right."""
    return TrueClip("PSNR of the mean frame")


def motion_error() -> TrueClip:
    """Mean absolute difference of the frame differences: whether it moves right."""
    return TrueClip("motion error")
