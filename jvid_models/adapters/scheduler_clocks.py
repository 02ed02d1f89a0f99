"""The number that a network is given as time at a level.

clock        time at (alpha, sigma)                            schedulers
index        n, the table's entry; between entries by angle    tables of betas
ratio        the same; between entries by sigma / alpha        those that scale the model's input
sigma        T sigma; sigma itself with T = 1                  flow matching; exploding flow (Cosmos 2)
unshifted    T u, sigma = k u / (1 + (k - 1) u)                CogView 4, whose shift moves sigmas alone
signal       T alpha                                           inverted flow (Mochi)
log          ln(sigma / alpha) / 4                             EDM, continuous v (Stable Video Diffusion)
time         T t                                               cosines of continuous time (Wuerstchen, SCM's angle)
"""

from __future__ import annotations

from typing import Literal, get_args

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule

__all__ = ["NEAR", "Clock", "ClockName"]

ClockName = Literal["index", "ratio", "sigma", "unshifted", "signal", "log", "time"]

NEAR = 1e-3
"""In timesteps: a time within this of a table's entry is the entry's; float32 sigmas are that coarse."""
_WHOLE = 1e-4
"""Below a whole number by less than this, a time that is cut counts as that number: float noise."""


@attrs.frozen
class Clock:
    """A network's time as a function of the level.

    Attributes:
        name: see the table above.
        T: the number of training timesteps; tables have their own.
        shift: k of "unshifted".
        whole: whether the time is cut to a whole number, as UniPC and DPM++ do on flow sigmas.
    """

    name: ClockName = attrs.field()
    T: float = attrs.field(default=1000.0, converter=float)
    shift: float = 1.0
    whole: bool = False

    @name.validator
    def _known(self, attribute: object, value: str) -> None:
        if value not in get_args(ClockName):
            raise InputError(f"clock {value!r}: expected one of {', '.join(get_args(ClockName))}")

    @property
    def of_a_table(self) -> bool:
        """Whether times are entries of a table."""
        return self.name in ("index", "ratio")

    def at(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The time at alpha and sigma ``(*)``, float64; not of a table, nor jvid's own time."""
        if self.name == "log":
            return (sigma / alpha).clamp_min(1e-20).log() / 4.0
        if self.name == "unshifted":
            return sigma / (self.shift - (self.shift - 1.0) * sigma) * self.T
        n = (alpha if self.name == "signal" else sigma) * self.T
        return torch.floor(n + _WHOLE) if self.whole else n

    def entry(self, table: TabulatedSchedule, t: Tensor) -> Tensor:
        """The time at t ``(*)`` on a table, float64."""
        n = table.timestep(t)
        if self.name == "index":
            return n
        alpha, sigma = table(t.double())
        bar = torch.tensor(table.alphas_cumprod, dtype=torch.float64, device=n.device)
        low = n.floor()
        high = (low + 1.0).clamp_max(table.timesteps - 1.0)
        below, above = (((1.0 - bar[i.long()]) / bar[i.long()]).sqrt() for i in (low, high))
        between = low + (sigma / alpha - below) / (above - below)
        nearest = n.round()
        found = torch.where(above > below, between, n)
        return torch.where((n - nearest).abs() < NEAR, nearest, found)
