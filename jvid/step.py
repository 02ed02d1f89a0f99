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

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.protocols import Denoiser, NoiseSampler, NoiseSchedule


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
    tells a multistep solver that others predict than at the step before (weights that move among
    the same experts are no switch). ``schedule`` is the reference, for solvers that ask between the ends.
    """

    index: int
    count: int
    start: Level
    end: Level
    weights: Mapping[str, float] = attrs.field(factory=dict, converter=_read_only, hash=False)
    switched: bool = False
    schedule: NoiseSchedule | None = attrs.field(default=None, eq=False, repr=False)

    def __reduce__(self) -> tuple[type[Step], tuple[object, ...]]:
        # A mapping proxy does not pickle, and a state that is resumed elsewhere holds steps.
        values = (self.index, self.count, self.start, self.end, dict(self.weights), self.switched)
        return Step, (*values, self.schedule)

    def level_at(self, t: float) -> Level:
        """The level of the reference schedule at time t in [0, 1], for a solver with inner stages.

        Raises:
            InputError: the step knows no schedule (a sampler's steps do).
        """
        if self.schedule is None:
            raise InputError(
                f"step {self.index} has no schedule to find the level at t {t:g} on: build it with Step(..., schedule=...)"
            )
        from jvid.schedules import level_at

        return level_at(self.schedule, t)

    @property
    def progress(self) -> float:
        """``u = 1 - t`` of ``start``: 0 at pure noise, 1 at the end, whatever the grid."""
        return 1.0 - self.start.t

    @property
    def expert(self) -> str:
        """The expert with the largest weight (the first named, at a tie)."""
        return max(self.weights, key=self.weights.__getitem__)

    @property
    def asked(self) -> frozenset[str]:
        """The experts that predict: what a solver may file its history under."""
        return frozenset(self.weights)


@attrs.frozen
class Expert:
    """A denoiser that a strategy may ask, and the noise of the steps that it predicts.

    ``noise=None`` stands for independent noise. r and gamma of the paper belong to an expert's own
    steps, therefore they are its noise sampler's.
    """

    denoiser: Denoiser
    noise: NoiseSampler | None = None
