"""Schedules with a slip."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing.references import schedules
from tests.mutants.unseen import unseen


@unseen("schedule", reference=schedules.variance_exploding)
@attrs.frozen
class GeometricToTheEnd:
    """sigma_min (sigma_max / sigma_min)^t down to t = 0, which is not clean."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), 0.002 * (80.0 / 0.002) ** t

    def time_at(self, angle: Tensor) -> Tensor:
        ratio = torch.tan(angle).clamp(0.002, 80.0)
        return torch.log(ratio / 0.002) / math.log(80.0 / 0.002)


@unseen("schedule", reference=schedules.variance_exploding)
@attrs.frozen
class LinearSigmas:
    """sigma grows linearly in t, where the paper's is geometric."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), 80.0 * t

    def time_at(self, angle: Tensor) -> Tensor:
        return (torch.tan(angle.clamp(max=1.5707)) / 80.0).clamp(0.0, 1.0).to(angle.dtype)


@unseen("schedule", reference=partial(schedules.flow_matching, shift=3.0), ranges={"shift": (1.0, 5.0)})
@attrs.frozen
class SignalNotShifted:
    """The shift moves sigma; alpha stays 1 - t."""

    shift: float = 3.0

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return 1.0 - t, FlowMatching(self.shift)(t)[1]

    def time_at(self, angle: Tensor) -> Tensor:
        return FlowMatching(self.shift**0.5).time_at(angle)


def _table(alpha_bar: Any) -> TabulatedSchedule:
    return TabulatedSchedule(torch.tensor(np.asarray(alpha_bar), dtype=torch.float64))


@unseen("schedule", reference=schedules.cosine)
def cosine_without_its_offset() -> Any:
    """s of the cosine schedule is left out."""
    f = np.cos(np.arange(1001) / 1000 * np.pi / 2) ** 2
    return _table(np.cumprod(1.0 - np.minimum(1.0 - f[1:] / f[:-1], 0.999)))


@unseen("schedule", reference=schedules.cosine)
def cosine_cut_at_a_tenth() -> Any:
    """Betas are cut at .1 in place of .999."""
    f = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    return _table(np.cumprod(1.0 - np.minimum(1.0 - f[1:] / f[:-1], 0.1)))


@unseen("schedule", reference=schedules.linear)
def linear_one_longer() -> Any:
    """linspace over T + 1 values, the last of them left out."""
    return _table(np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1001)[:-1]))


@unseen("schedule", reference=schedules.zero_terminal_snr)
def rescaled_without_roots() -> Any:
    """alpha_bar is rescaled to end in pure noise, and not its root."""
    bar = np.cumprod(1.0 - np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2)
    return _table((bar - bar[-1]) * bar[0] / (bar[0] - bar[-1]))


@unseen("schedule", reference=schedules.scaled_linear)
@attrs.frozen
class NearestEntry:
    """The inverse gives the nearest entry of the table, and nothing in between."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return TabulatedSchedule.scaled_linear()(t)

    def time_at(self, angle: Tensor) -> Tensor:
        return (TabulatedSchedule.scaled_linear().time_at(angle) * 1000).round() / 1000


@unseen("schedule", reference=schedules.scaled_linear)
@attrs.frozen
class VariancesForRoots:
    """alpha_bar and 1 - alpha_bar in place of their roots."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = TabulatedSchedule.scaled_linear()(t)
        return alpha**2, sigma**2

    def time_at(self, angle: Tensor) -> Tensor:
        root = torch.atan(torch.sqrt(torch.tan(angle.clamp(max=1.5707963))))
        return TabulatedSchedule.scaled_linear().time_at(root.to(angle.dtype))
