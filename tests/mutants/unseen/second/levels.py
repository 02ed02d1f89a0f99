"""Schedules, grids and selectors with a slip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.core.protocols import NoiseSchedule, Step
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import PiecewiseAffine
from jvid.testing.references import grids, schedules, selectors
from tests.mutants.unseen import unseen

STEPS = {"steps": (1, 50)}


@unseen("schedule", reference=partial(schedules.flow_matching, shift=3.0))
@attrs.frozen
class ShiftUpsideDown:
    """The shift is divided by, and moves towards clean levels."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return FlowMatching(1.0 / 3.0)(t)

    def time_at(self, angle: Tensor) -> Tensor:
        return FlowMatching(1.0 / 3.0).time_at(angle)


def _turning(t: float) -> tuple[float, float]:
    return math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)


@unseen("schedule", reference=_turning)
@attrs.frozen
class SigmaByCancellation:
    """sigma is sqrt(1 - alpha^2) in the dtype of t, which loses all digits near the clean end."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha = torch.cos(math.pi / 2 * t).clamp_min(0.0)
        return alpha, torch.sqrt((1.0 - alpha * alpha).clamp_min(0.0))

    def time_at(self, angle: Tensor) -> Tensor:
        return (angle / (math.pi / 2)).clamp(0.0, 1.0)


def _sigmoid(t: float, low: float = -3.0, high: float = 3.0) -> tuple[float, float]:
    ends = [1.0 / (1.0 + math.exp(-each)) for each in (low, high)]
    bar = (ends[1] - 1.0 / (1.0 + math.exp(-(low + t * (high - low))))) / (ends[1] - ends[0])
    return math.sqrt(bar), math.sqrt(1.0 - bar)


@unseen("schedule", reference=_sigmoid)
@attrs.frozen
class SigmoidUnnormalised:
    """The sigmoid schedule without being brought to 1 and 0 at its ends."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        bar = torch.sigmoid(-(-3.0 + 6.0 * t))
        return bar.sqrt(), (1.0 - bar).sqrt()

    def time_at(self, angle: Tensor) -> Tensor:
        logit = torch.logit(torch.cos(angle) ** 2, eps=1e-12)
        return ((-logit + 3.0) / 6.0).clamp(0.0, 1.0)


@unseen("schedule", reference=partial(schedules.linear, T=50))
def betas_of_a_longer_table() -> Any:
    """Betas of a table of 1000 entries are kept for one of 50: hardly any noise at its end."""
    return TabulatedSchedule(torch.tensor(np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))[:50].copy()))


@unseen("schedule", reference=schedules.scaled_linear)
@attrs.frozen
class FirstEntryAtZero:
    """Entry n is at t = n / T: the table's first entry is at t = 0."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        table = TabulatedSchedule.scaled_linear()
        return table((t + (1.0 - t) / 1000).to(t.dtype))

    def time_at(self, angle: Tensor) -> Tensor:
        t = TabulatedSchedule.scaled_linear().time_at(angle)
        return ((t - 0.001) / 0.999).clamp(0.0, 1.0)


@unseen("schedule", reference=schedules.scaled_linear)
@attrs.frozen
class InterpolatedVariances:
    """alpha_bar, and not the angle, is linear between the entries of the table; the inverse is of angles."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        bar = torch.tensor((1.0, *TabulatedSchedule.scaled_linear().alphas_cumprod), dtype=torch.float64)
        at = t.double() * 1000
        low = at.floor().long().clamp(0, 999)
        found = torch.lerp(bar[low], bar[low + 1], at - low)
        return found.sqrt().to(t.dtype), (1.0 - found).sqrt().to(t.dtype)

    def time_at(self, angle: Tensor) -> Tensor:
        return TabulatedSchedule.scaled_linear().time_at(angle)


@attrs.frozen
class _Steps:
    steps: int = 20


@unseen("grid", reference=partial(grids.trailing, steps=20), ranges=STEPS)
class ShiftedOnceMore(_Steps):
    """The shift of flow matching is applied to the times of a schedule that has it already."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        even = grids.trailing(schedule, steps=self.steps)
        return [3.0 * t / (1.0 + 2.0 * t) for t in even]


@unseen("grid", reference=partial(grids.karras, steps=20, sigma_min=0.03, sigma_max=14.0), ranges=STEPS)
class RatiosOverSigma(_Steps):
    """Karras' ratios are looked up among the schedule's sigmas, whatever its alphas."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        t = torch.linspace(0.0, 1.0, 4001, dtype=torch.float64)
        sigma = schedule(t)[1]
        part = torch.arange(self.steps, dtype=torch.float64) / max(self.steps - 1, 1)
        wanted = (14.0 ** (1 / 7) + part * (0.03 ** (1 / 7) - 14.0 ** (1 / 7))) ** 7 * float(sigma[-1]) / 14.0
        return [float(t[int((sigma - each).abs().argmin())]) for each in wanted] + [0.0]


@unseen("grid", reference=partial(grids.trailing, steps=20), ranges=STEPS)
class WholePercent(_Steps):
    """Times are rounded to two digits for the log."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return [round(1.0 - i / self.steps, 2) for i in range(self.steps + 1)]


@unseen("grid", reference=partial(grids.karras, steps=20, sigma_min=0.03, sigma_max=14.0), ranges=STEPS)
class EndsAtSigmaMin(_Steps):
    """The step to the clean end is forgotten."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return grids.karras(schedule, steps=self.steps + 1, sigma_min=0.03, sigma_max=14.0)[:-1]


@unseen("grid", reference=partial(grids.leading, steps=20), ranges=STEPS)
class Powers(_Steps):
    """Times to the power of 1.5, as of another schedule."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return [each**1.5 for each in grids.leading(schedule, steps=self.steps)]


PAPER = partial(selectors.piecewise_affine, t_v=0.2, t_e=0.7, p_e=0.3, p_f=0.1)


@unseen("selector", reference=PAPER)
class DrawsByTheIndex:
    """The number u is not read: a hash of the index takes its place."""

    experts = ("video", "image")

    def shares(self, step: Step) -> Mapping[str, float]:
        share = PiecewiseAffine(0.2, 0.7, 0.3, 0.1).probability(step.progress)
        return {"video": share, "image": 1.0 - share}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        own = (step.index * 2654435761 % 2**32) / 2**32
        return {"video" if own < self.shares(step)["video"] else "image": 1.0}


@unseen("selector", reference=PAPER)
class FallsFromTheStart:
    """The first segment falls from progress 0 on, and not from t_v."""

    experts = ("video", "image")

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        share = float(np.interp(step.progress, [0.0, 0.7, 1.0], [1.0, 0.3, 0.1]))
        return {"video" if u < share else "image": 1.0}


@unseen("selector", reference=partial(selectors.cycle, experts="a+b"))
class CachedByIndex:
    """What was chosen at an index is kept, for any plan that follows."""

    experts = ("a", "b")

    def __init__(self) -> None:
        self.kept: dict[int, str] = {}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {self.kept.setdefault(step.index, "a" if step.index < step.count // 2 else "b"): 1.0}


@unseen("selector", reference=partial(selectors.boundary, experts="a+b", at=0.875, by="noise"))
@attrs.frozen
class BoundaryBeforeTheShift:
    """Wan's boundary is compared with t, before the shift, and not with sigma."""

    experts = ("a", "b")

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"a" if step.start.t >= 0.875 else "b": 1.0}


@unseen("selector", reference=partial(selectors.blend, experts="a+b", knots="0:1:0+1:0:1"))
@attrs.frozen
class SquaredWeights:
    """Weights are squared, to sharpen them, and not brought back to a sum of 1."""

    experts = ("a", "b")

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        p = step.progress
        return {"a": (1.0 - p) ** 2, "b": p**2}


@unseen("selector", reference=partial(selectors.random, experts="a+b+c"))
@attrs.frozen
class NamesOfASet:
    """The experts are a set of names, whose order is that of their hashes."""

    names: frozenset[str] = frozenset({"a", "b", "c"})

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {list(self.names)[int(3 * u)]: 1.0}
