"""A noise level, one step between two of them, and what an expert is.

Levels are double precision and live on the *reference* schedule of a sampler. Nothing here assumes
that noise falls from ``start`` to ``end``: restart and zigzag grids step back up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from jvid.protocols import Denoiser, NoiseSampler


def _read_only(weights: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(weights))


@attrs.frozen
class Level:
    """One noise level of the reference schedule: ``x = alpha x_0 + sigma eps``.

    ``t`` is the reference schedule's time in [0, 1], 0 clean and 1 noise. All three are Python
    floats, double precision.
    """

    t: float
    alpha: float
    sigma: float

    @property
    def angle(self) -> float:
        """``atan2(sigma, alpha)`` in radians: 0 is clean, pi/2 is pure noise; always finite."""
        return math.atan2(self.sigma, self.alpha)


@attrs.frozen
class Step:
    """One transition of a plan, from ``start`` to ``end``.

    ``weights`` are the experts that predict (empty before a selector has spoken); ``switched``
    tells a multistep solver that they differ from the step before.
    """

    index: int
    count: int
    start: Level
    end: Level
    weights: Mapping[str, float] = attrs.field(factory=dict, converter=_read_only, hash=False)
    switched: bool = False

    def __reduce__(self) -> tuple[type[Step], tuple[object, ...]]:
        # A mapping proxy does not pickle, and a state that is resumed elsewhere holds steps.
        return Step, (self.index, self.count, self.start, self.end, dict(self.weights), self.switched)

    @property
    def progress(self) -> float:
        """``u = 1 - t`` of ``start``: 0 at pure noise, 1 at the end, whatever the grid."""
        return 1.0 - self.start.t

    @property
    def expert(self) -> str:
        """The expert with the largest weight (the first named, at a tie)."""
        return max(self.weights, key=lambda name: self.weights[name])


@attrs.frozen
class Expert:
    """A denoiser that a strategy may ask, and the noise of the steps that it predicts.

    ``noise=None`` stands for independent noise. r and gamma of the paper belong to an expert's own
    steps, therefore they are its noise sampler's.
    """

    denoiser: Denoiser
    noise: NoiseSampler | None = None
