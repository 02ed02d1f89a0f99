"""Levels by a scheduler's own sigma: flow matching, x = (1 - s) x_0 + s eps, and exploding ones, x = x_0 + s eps."""

from __future__ import annotations

import math

import attrs
import torch

from jvid.core.levels import level_at
from jvid.errors import InputError
from jvid.schedules import FlowMatching, VarianceExploding
from jvid_models.adapters.pipelines.predictions import OutputKind
from jvid_models.adapters.pipelines.probe import Presented
from jvid_models.adapters.pipelines.timesteps import TimestepRule
from jvid_models.adapters.pipelines.visits import Visits

__all__ = ["SigmaLevels"]


@attrs.frozen
class SigmaLevels:
    """Levels whose sigma is the scheduler's own, of flow matching or exploding; ``back``: it runs from 0 up to 1."""

    schedule: FlowMatching | VarianceExploding
    kind: OutputKind
    rule: TimestepRule
    dtype: torch.dtype
    back: bool = False

    def scale(self, t: float) -> float:
        """What latents on the schedule are multiplied by for the pipeline."""
        return 1.0

    def presented(self, t: float) -> Presented:
        """The timestep and the sigma at time t in [0, 1]."""
        sigma = level_at(self.schedule, t).sigma
        own = 1.0 - sigma if self.back else sigma
        return Presented(self.rule(own).to(self.dtype), own)

    def times(self, visits: Visits) -> tuple[float, ...]:
        """The times of a pipeline's visits, and the one behind the last."""
        if visits.sigmas is None or visits.last is None:
            raise InputError("a scheduler of flow matching without sigmas: expected one of diffusers")
        return tuple(self._time(1.0 - s if self.back else s) for s in (*visits.sigmas, visits.last))

    def _time(self, sigma: float) -> float:
        if isinstance(self.schedule, FlowMatching):
            return min(max(sigma, 0.0), 1.0)
        return float(self.schedule.time_at(torch.tensor(math.atan(sigma), dtype=torch.float64)))
