"""Flicker and jerk of the pixels, and their ratios to the reference's.

Neither has a direction, since a frozen clip has 0: a ratio of 1 is that of real clips. See
`jvid_training.evaluation.networks.pixels`.
"""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from jvid.core.metrics import Better, ClipSample, FeatureNetwork, Resampling
from jvid_training.evaluation.networks.pixels import Pixels

__all__ = ["Motion", "MotionRatio", "flicker", "flicker_ratio", "jerk", "jerk_ratio"]

Title = Literal["flicker", "jerk"]


@attrs.frozen(eq=False)
class Motion:
    """Mean absolute difference of frames, first or second, of 255."""

    name: Title
    better: Better | None = attrs.field(default=None, init=False)
    unit: str = attrs.field(default="of 255", init=False)
    features: tuple[FeatureNetwork, ...] = attrs.field(factory=lambda: (Pixels(),), init=False)

    def compute(
        self, clips: ClipSample, reference: ClipSample, resampling: Resampling
    ) -> NDArray[np.float64]:
        """The mean of each clip."""
        return _values(self.name, clips)


@attrs.frozen(eq=False)
class MotionRatio:
    """The same as a ratio to the reference's mean; none where the reference does not move."""

    title: Title
    better: Better | None = attrs.field(default=None, init=False)
    unit: str = attrs.field(default="to the reference's", init=False)
    target: float = attrs.field(default=1.0, init=False)
    features: tuple[FeatureNetwork, ...] = attrs.field(factory=lambda: (Pixels(),), init=False)

    @property
    def name(self) -> str:
        """The title, as a ratio."""
        return f"{self.title} ratio"

    def compute(
        self, clips: ClipSample, reference: ClipSample, resampling: Resampling
    ) -> NDArray[np.float64] | None:
        """The mean of each clip over the reference's."""
        base = float(_values(self.title, reference).mean())
        return _values(self.title, clips) * (1 / base) if base > 0 else None


def _values(title: Title, clips: ClipSample) -> NDArray[np.float64]:
    return np.asarray(clips.features[0]["features"][:, Pixels.figures.index(title)], np.float64)


def flicker() -> Motion:
    """Mean absolute first difference of consecutive frames."""
    return Motion("flicker")


def jerk() -> Motion:
    """Mean absolute second difference of consecutive frames."""
    return Motion("jerk")


def flicker_ratio() -> MotionRatio:
    """Flicker as a ratio to real clips'; as an objective, how far that is from 1."""
    return MotionRatio("flicker")


def jerk_ratio() -> MotionRatio:
    """Jerk as a ratio to real clips'; as an objective, how far that is from 1."""
    return MotionRatio("jerk")
