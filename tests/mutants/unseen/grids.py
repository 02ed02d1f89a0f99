"""Grids with a slip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np
import torch

from jvid.core.protocols import NoiseSchedule
from jvid.testing.references import grids
from tests.mutants.unseen import unseen

STEPS = {"steps": (1, 50)}


@attrs.frozen
class _Steps:
    steps: int = 20


@unseen("grid", reference=partial(grids.trailing, steps=20), ranges=STEPS)
class Floored(_Steps):
    """Timesteps are rounded down."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return [*(math.floor(1000 - i * 1000 / self.steps) / 1000 for i in range(self.steps)), 0.0]


@unseen("grid", reference=partial(grids.linspace, steps=20), ranges=STEPS)
class WithoutTheTop(_Steps):
    """The noisiest timestep is left out."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        times = np.linspace(0, 999, self.steps + 1)[::-1][1:]
        return [*(float(round(n) + 1) / 1000 for n in times), 0.0]


@unseen("grid", reference=partial(grids.leading, steps=20), ranges=STEPS)
class OffsetOfOne(_Steps):
    """steps_offset of 1, as Stable Diffusion's configuration has it and this one does not."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return [*(min(i * (1000 // self.steps) + 2, 1000) / 1000 for i in reversed(range(self.steps))), 0.0]


def _times(schedule: NoiseSchedule, angles: Any) -> list[float]:
    return [*map(float, schedule.time_at(torch.tensor(list(angles), dtype=torch.float64))), 0.0]


def _top(schedule: NoiseSchedule) -> float:
    alpha, sigma = schedule(torch.tensor(1.0, dtype=torch.float64))
    return math.atan2(float(sigma), float(alpha))


@unseen("grid", reference=partial(grids.karras, steps=20, sigma_min=0.03, sigma_max=14.0), ranges=STEPS)
class RootOfRho(_Steps):
    """The power rho and its root are exchanged."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        high, low, part = 14.0**7, 0.03**7, np.arange(self.steps) / max(self.steps - 1, 1)
        return _times(schedule, np.arctan((high + part * (low - high)) ** (1 / 7)))


@unseen("grid", reference=partial(grids.karras, steps=20, sigma_min=0.03, sigma_max=14.0), ranges=STEPS)
class OverSigmas(_Steps):
    """Karras' ratios are taken for sines, sigma of a schedule that keeps variance."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        high, low, part = 14.0 ** (1 / 7), 0.03 ** (1 / 7), np.arange(self.steps) / max(self.steps - 1, 1)
        ratios = (high + part * (low - high)) ** 7
        return _times(schedule, np.arcsin(ratios / ratios.max() * 0.99))


@unseen("grid", reference=partial(grids.by_angle, steps=20), ranges=STEPS)
class EvenInLogSnr(_Steps):
    """Even in the logarithm of the ratio, where the angle is meant."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        high, low = math.log(min(math.tan(_top(schedule)), 100.0)), math.log(1e-2)
        inner = (math.atan(math.exp(high + (low - high) * i / self.steps)) for i in range(1, self.steps))
        return [1.0, *_times(schedule, inner)]


@unseen("grid", reference=partial(grids.by_angle, steps=20), ranges=STEPS)
class OneStepFewer(_Steps):
    """linspace of ``steps`` times, and so one step too few."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        top = _top(schedule)
        return [
            1.0,
            *_times(schedule, (top * (1.0 - i / (self.steps - 1)) for i in range(1, self.steps - 1))),
        ]


@unseen("grid", reference=partial(grids.explicit, times="1+.6+.7+0"), rising=True)
class Sorted:
    """Times are sorted, and a walk that steps back up is lost."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return sorted([1.0, 0.6, 0.7, 0.0], reverse=True)
