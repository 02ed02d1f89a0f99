"""Feature networks and metrics with a slip."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.mutants.unseen import unseen


def _means(frames: Any) -> Any:
    return frames.astype(np.float64).mean((1, 2, 3)) / 127.5 - 1.0


class _Means:
    name, kind, fingerprint = "means", "clip", "means-1"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return np.asarray(self.rows(frames), np.float32)

    def rows(self, frames: np.ndarray) -> Any:
        return _means(frames)


@unseen("features", reference=_means)
class ZeroToOne(_Means):
    """Pixels from 0 to 1, where the network was trained on -1 to 1."""

    def rows(self, frames: np.ndarray) -> Any:
        return frames.astype(np.float64).mean((1, 2, 3)) / 255.0


@unseen("features", reference=_means)
class FirstFrame(_Means):
    """A clip's row is that of its first frame."""

    def rows(self, frames: np.ndarray) -> Any:
        return _means(frames[:, :1])


@unseen("features", reference=_means)
class FewFrames(_Means):
    """Every second frame is left out, to save time."""

    def rows(self, frames: np.ndarray) -> Any:
        return _means(frames[:, ::2])


@unseen("features", reference=_means)
class BatchStatistics(_Means):
    """Rows are standardised by the batch, as a network left in training mode does."""

    def rows(self, frames: np.ndarray) -> Any:
        rows = _means(frames)
        return (rows - rows.mean(0)) / (rows.std(0) + 1e-5)


FLOOR = 255.0**2 * 1e-10
"""Of a mean square: equal clips have 100 dB."""


def _psnr(clips: Any, reference: Any) -> float:
    count = min(len(clips), len(reference))
    error = ((clips.array[:count].astype(float) - reference.array[:count].astype(float)) ** 2).mean()
    return float(10.0 * np.log10(255.0**2 / max(error, FLOOR)))


class _Psnr:
    name, unit, better, features = "psnr", "dB", "higher", ()

    def compute(self, clips: Any, reference: Any, resampling: Any) -> float:
        count = min(len(clips), len(reference))
        return self.of(clips.array[:count], reference.array[:count])

    def of(self, one: np.ndarray, two: np.ndarray) -> float:
        raise NotImplementedError


@unseen("metric", ordered=True, reference=_psnr)
class PeakOfOne(_Psnr):
    """The peak is 1, of pixels that go to 255."""

    def of(self, one: np.ndarray, two: np.ndarray) -> float:
        return float(-10.0 * np.log10(max(((one.astype(float) - two.astype(float)) ** 2).mean(), FLOOR)))


@unseen("metric", ordered=True, reference=_psnr)
class MeanOfDecibels(_Psnr):
    """Decibels are averaged over frames, and not the errors."""

    def of(self, one: np.ndarray, two: np.ndarray) -> float:
        errors = ((one.astype(float) - two.astype(float)) ** 2).mean((2, 3, 4))
        return float(10.0 * np.log10(255.0**2 / errors.clip(FLOOR)).mean())


@unseen("metric", ordered=True, reference=_psnr)
class DifferenceOfBytes(_Psnr):
    """The difference of unsigned bytes wraps round."""

    def of(self, one: np.ndarray, two: np.ndarray) -> float:
        return float(10.0 * np.log10(255.0**2 / max(((one - two).astype(float) ** 2).mean(), FLOOR)))


def _spread(clips: Any, reference: Any) -> float:
    return float(clips.array.astype(float).mean((1, 2, 3, 4)).std(ddof=1))


@unseen("metric", reference=_spread)
class PopulationSpread:
    """The deviation over n, where that of a sample, over n - 1, is meant."""

    name, unit, better, features = "spread", "of 255", None, ()

    def compute(self, clips: Any, reference: Any, resampling: Any) -> float:
        return float(clips.array.astype(float).mean((1, 2, 3, 4)).std())


@unseen("metric", reference=_spread)
class OfTheReference:
    """Clips and reference are exchanged."""

    name, unit, better, features = "spread", "of 255", None, ()

    def compute(self, clips: Any, reference: Any, resampling: Any) -> float:
        return float(reference.array.astype(float).mean((1, 2, 3, 4)).std(ddof=1))
