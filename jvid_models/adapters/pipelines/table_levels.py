"""Levels of a table of betas, as diffusers' schedulers of Stable Diffusion have them.

sigma = sigma_t / alpha_t;     latents x, or x / alpha_t where the scheduler scales the model's input by alpha_t
"""

from __future__ import annotations

import math

import attrs
import torch

from jvid.core.levels import level_at
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule
from jvid_models.adapters.pipelines.predictions import OutputKind
from jvid_models.adapters.pipelines.probe import Presented
from jvid_models.adapters.pipelines.visits import Visits

__all__ = ["TableLevels"]

_NEAR = 1e-3
"""In timesteps: a time within this of a table's entry is the entry's; float32 sigmas are that coarse."""


@attrs.frozen
class TableLevels:
    """Levels of a table; ``explodes``: the pipeline's latents are x / alpha, its sigma is sigma / alpha."""

    schedule: TabulatedSchedule
    kind: OutputKind
    explodes: bool
    has_sigmas: bool
    dtype: torch.dtype

    def scale(self, t: float) -> float:
        """What latents on the schedule are multiplied by for the pipeline."""
        alpha = level_at(self.schedule, t).alpha
        if self.explodes and alpha == 0.0:
            raise InputError(
                "a scheduler that divides by alpha was evaluated where alpha = 0: start the grid lower"
            )
        return 1.0 / alpha if self.explodes else 1.0

    def presented(self, t: float) -> Presented:
        """The timestep and the sigma at time t in [0, 1]."""
        level = level_at(self.schedule, t)
        alpha, sigma = level.alpha, level.sigma
        ratio = sigma / alpha if alpha > 0.0 else math.inf
        n = self._timestep(t, ratio)
        whole = abs(n - round(n)) < _NEAR
        if whole and not self.dtype.is_floating_point:
            return Presented(torch.tensor(round(n), dtype=self.dtype), ratio if self.has_sigmas else None)
        value = torch.tensor(float(round(n)) if whole else n, dtype=torch.float32)
        return Presented(value, ratio if self.has_sigmas else None)

    def times(self, visits: Visits) -> tuple[float, ...]:
        """The times of a pipeline's visits, and the one behind the last."""
        if visits.sigmas is None or not self.explodes:
            inner = tuple((float(n) + 1.0) / self.schedule.timesteps for n in visits.timesteps)
        else:
            inner = tuple(map(self._time, visits.sigmas))
        return (*inner, self._last(visits))

    def _last(self, visits: Visits) -> float:
        if visits.last is not None:
            return self._time(visits.last) if visits.last > 0.0 else 0.0
        return 0.0 if visits.ends_clean else 1.0 / self.schedule.timesteps

    def _time(self, ratio: float) -> float:
        T = self.schedule.timesteps
        t = float(self.schedule.time_at(torch.tensor(math.atan(ratio), dtype=torch.float64)))
        nearest = round(t * T) / T
        return nearest if abs(t - nearest) * T < _NEAR else t

    def _timestep(self, t: float, ratio: float) -> float:
        n = float(self.schedule.timestep(torch.tensor(t, dtype=torch.float64)))
        if not self.explodes or abs(n - round(n)) < _NEAR:
            return n
        # Between entries such schedulers interpolate sigma, not the angle.
        low, high = math.floor(n), min(math.floor(n) + 1, self.schedule.timesteps - 1)
        below, above = (_ratio(self.schedule.alphas_cumprod[i]) for i in (low, high))
        return low + (ratio - below) / (above - below) if above > below else n


def _ratio(alpha_bar: float) -> float:
    return math.sqrt((1.0 - alpha_bar) / alpha_bar) if alpha_bar > 0.0 else math.inf
