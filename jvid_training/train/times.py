"""Times that a network is trained at: a density on [0, 1] as the quantile function of a uniform number.

    u in [0, 1)  ->  t = F^-1(F(a_i) + v (F(b_i) - F(a_i))),      i, v: the cell that u falls into, and where in it

F is the base density: uniform, or a logit-normal one, both with a shift t' = s t / (1 + (s - 1) t) of flow matching (Esser et
al. 2024, arXiv 2403.03206, section 3.1 and equation 23). Cells (a_i, b_i, mass_i) are the whole of [0, 1]; the bands of
a recipe, whose masses are those that F has there; or the steps of a strategy's plan at which an expert is evaluated, each as
often as it is (`jvid_training.train.plan_cells`). Quantiles, and not draws: so a batch's numbers may be spread evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import NormalDist

import attrs
import torch

from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid_training.recipe_published import Noise

__all__ = ["Base", "Cell", "Times", "bands_of"]

Cell = tuple[float, float, float]
"""Low and high t, and the probability of a time between them."""

_NORMAL = NormalDist()
_LEAST = 1e-12


@attrs.frozen
class Base:
    """A density on [0, 1] by its distribution function and the inverse.

    Attributes:
        logit: mean and deviation of the logit of t before the shift; None is uniform.
        shift: s.
    """

    logit: tuple[float, float] | None = None
    shift: float = 1.0

    def quantile(self, q: float) -> float:
        """F^-1."""
        t = q
        if self.logit is not None:
            mean, std = self.logit
            z = _NORMAL.inv_cdf(min(max(q, _LEAST), 1.0 - _LEAST))
            t = 1.0 / (1.0 + math.exp(-(mean + std * z)))
        return t if self.shift == 1.0 else self.shift * t / (1.0 + (self.shift - 1.0) * t)

    def probability(self, t: float) -> float:
        """F."""
        if t <= 0.0 or t >= 1.0:
            return min(max(t, 0.0), 1.0)
        if self.shift != 1.0:
            t = t / (self.shift - (self.shift - 1.0) * t)
        if self.logit is None:
            return t
        mean, std = self.logit
        return _NORMAL.cdf((math.log(t / (1.0 - t)) - mean) / std)


@attrs.frozen
class Times:
    """The density that a network's times are drawn from.

    Attributes:
        base: F.
        cells: with masses that sum to 1; without any, all of [0, 1].

    Raises:
        InputError: cells that are none, or that F never reaches.
    """

    base: Base = Base()
    cells: tuple[Cell, ...] = ()
    _sums: tuple[float, ...] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_sums", tuple(accumulate(mass for _, _, mass in self.cells)))
        if self.cells and not math.isclose(self._sums[-1], 1.0, abs_tol=1e-6):
            raise InputError(f"cells of times with a mass of {self._sums[-1]:g} in all: expected 1")

    def time(self, u: float) -> float:
        """u in [0, 1) -> t in [0, 1], rising with u where the cells rise."""
        if not self.cells:
            return self.base.quantile(u)
        i = next((i for i, most in enumerate(self._sums) if u < most), len(self.cells) - 1)
        low, high, mass = self.cells[i]
        v = min(max((u - (self._sums[i] - mass)) / mass, 0.0), 1.0)
        first, last = self.base.probability(low), self.base.probability(high)
        if last - first < 1e-9:  # beyond what the base reaches in double precision
            return low + v * (high - low)
        return min(max(self.base.quantile(first + v * (last - first)), low), high)


def bands_of(noise: Noise, base: Base, schedule: NoiseSchedule) -> tuple[Cell, ...]:
    """The cells of a recipe's bands, with the masses that ``base`` has there.

    Raises:
        InputError: a band that is none, that overlaps another, or that the base never reaches.
    """
    bands = sorted(_band(low, high, noise.by, schedule) for low, high in noise.bands)
    if any(one[1] > other[0] + 1e-9 for one, other in pairwise(bands)):
        raise InputError(
            f"noise.bands {[list(band) for band in noise.bands]}: they overlap, expected bands apart"
        )
    return normalised(
        [(low, high, base.probability(high) - base.probability(low)) for low, high in bands], "noise.bands"
    )


def normalised(cells: Sequence[Cell], what: str) -> tuple[Cell, ...]:
    """Cells of any masses as those of a density, in order of time.

    Raises:
        InputError: all masses are 0.
    """
    total = math.fsum(mass for _, _, mass in cells)
    if total <= 0.0:
        raise InputError(f"{what}: no time is ever drawn there; expected wider bands, or other noise.times")
    return tuple((low, high, mass / total) for low, high, mass in sorted(cells) if mass > 0.0)


def _band(low: float, high: float, by: str, schedule: NoiseSchedule) -> tuple[float, float]:
    if not 0.0 <= low < high <= 1.0:
        raise InputError(f"noise.bands: got [{low:g}, {high:g}], expected [low, high] of {by} from 0 to 1")
    if by == "noise":
        first, last = (time_at(schedule, math.atan2(value, 1.0 - value)) for value in (low, high))
        return first, last
    return (low, high) if by == "t" else (1.0 - high, 1.0 - low)


def time_at(schedule: NoiseSchedule, angle: float) -> float:
    """The time of a schedule at an angle atan2(sigma, alpha)."""
    return float(schedule.time_at(torch.tensor(angle, dtype=torch.float64)))
