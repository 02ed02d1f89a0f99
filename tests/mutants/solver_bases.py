"""Right solvers, plainly written: what the wrong ones are made of by changing one method.

first order   x_s = c_x x + c_0 x_0 + c_z z                      DDIM, DDPM
2M            D = x_0 + w (x_0 - x_0'),  w = h / (2 h')          h = lambda_s - lambda_t, h' = lambda_t - lambda_t'
Heun          x_s = x_E + w_s (eps_s - eps_t),  w_s = (sigma_s - alpha_s sigma_t / alpha_t) / 2
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.solvers.history import log_snr
from jvid.solvers.kernel import coefficients

__all__ = ["Ancestral", "Coefficients", "FirstOrder", "Past", "TwoStages", "TwoSteps"]

Coefficients = tuple[float, float, float]


class FirstOrder:
    """DDIM, or with eta = 1 DDPM; what a mutant changes is a method."""

    order = 1
    eta = 0.0

    def init(self) -> Any:
        """Nothing is remembered."""
        return None

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        """``(c_x, c_0, c_z)``."""
        return coefficients(start, end, self.eta)

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        """One evaluation, one draw where it counts."""
        x_0 = denoise(x, step.start)
        c_x, c_0, c_z = self.coefficients(step.start, step.end)
        out = c_x * x + c_0 * x_0
        return (out + c_z * noise("z") if c_z else out), memory


class Ancestral(FirstOrder):
    """DDPM."""

    eta = 1.0


Past = tuple[tuple[Level, Tensor], ...]
"""Levels and predictions, the newest first."""


class TwoSteps:
    """DPM-Solver++ 2M, with a history for each set of experts; what a mutant changes is a method."""

    order = 2

    def init(self) -> Mapping[Any, Past]:
        """No past."""
        return {}

    def key(self, step: Step) -> Any:
        """What the history is filed under."""
        return step.active

    def weight(self, h: float, h_past: float) -> float:
        """w."""
        return 0.5 * h / h_past

    def recalled(self, past: Past) -> tuple[Level, Tensor] | None:
        """The entry to take a slope from."""
        return past[0] if past else None

    def kept(self, now: tuple[Level, Tensor], past: Past) -> Past:
        """The history after a step."""
        return (now, *past)[:2]

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Mapping[Any, Past]
    ) -> tuple[Tensor, Mapping[Any, Past]]:
        """One evaluation."""
        start, end, key = step.start, step.end, self.key(step)
        x_0 = denoise(x, start)
        c_x, c_0, c_z = coefficients(start, end, 0.0)
        past = memory.get(key, ())
        entry, w = self.recalled(past), 0.0
        if entry is not None:
            h, h_past = log_snr(end) - log_snr(start), log_snr(start) - log_snr(entry[0])
            if math.isfinite(h) and math.isfinite(h_past) and h_past and h:
                w = self.weight(h, h_past)
        d = x_0 + w * (x_0 - entry[1]) if entry is not None else x_0
        out = c_x * x + c_0 * d
        if c_z:
            out = out + c_z * noise("z")
        return out, {**memory, key: self.kept((start, x_0), past)}


class TwoStages:
    """Heun; what a mutant changes is a method."""

    order = 2
    half = 0.5

    def init(self) -> None:
        """Nothing is remembered."""
        return None

    def evaluations(self, step: Step) -> int:
        """2, or 1 where a slope is not defined."""
        start, end = step.start, step.end
        return 2 if min(start.alpha, start.sigma, end.sigma) > 0.0 and start.angle != end.angle else 1

    def slope(self, x: Tensor, x_0: Tensor, level: Level) -> Tensor:
        """eps."""
        return (x - level.alpha * x_0) / level.sigma

    def second(self, x: Tensor, euler: Tensor, step: Step, denoise: Denoise) -> Tensor:
        """eps at the end."""
        return self.slope(euler, denoise(euler, step.end), step.end)

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: None
    ) -> tuple[Tensor, None]:
        """Euler, then the mean of both slopes."""
        start, end = step.start, step.end
        x_0 = denoise(x, start)
        c_x, c_0, c_z = coefficients(start, end, 0.0)
        euler = c_x * x + c_0 * x_0
        if c_z:
            euler = euler + c_z * noise("z")
        if self.evaluations(step) == 1:
            return euler, None
        weight = self.half * (end.sigma - end.alpha * start.sigma / start.alpha)
        return euler + weight * (self.second(x, euler, step, denoise) - self.slope(x, x_0, start)), None
