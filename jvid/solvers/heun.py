"""Heun's method on the probability-flow ODE over rho = sigma / alpha: Euler, then the mean of both slopes.

    x_E = Euler's x_s,   x_s = x_E + alpha_s (rho_s - rho_t) (eps_s - eps_t) / 2

with eps_s from the prediction at x_E. It is finite in the form alpha_s (rho_s - rho_t) = sigma_s - alpha_s sigma_t / alpha_t.
A step from alpha = 0, or from or to sigma = 0, where a slope is not defined, stays Euler's; and so does one so steep
in rho that the mean of two slopes does not describe what lies between, such as the first from the end of a cosine table.
"""

from __future__ import annotations

import math

import attrs
from torch import Tensor

from jvid.core.levels import working_dtype
from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.errors import InputError
from jvid.solvers.euler import Euler, churn_level, churned
from jvid.solvers.kernel import draws, transition

__all__ = ["Heun"]


STEEP = 16.0
"""The most that the slopes' difference is multiplied by, in the scale where alpha^2 + sigma^2 = 1 at the step's end.

From 1.0 to 0.95 of the cosine table it is 1,579; grids of EDM stay below it from four steps on."""


def _halves(start: Level, end: Level) -> bool:
    """Whether both slopes are defined and worth their mean, so that the second is evaluated."""
    if not (start.alpha > 0.0 and start.sigma > 0.0 and end.sigma > 0.0 and start.angle != end.angle):
        return False
    weight = abs(end.sigma - end.alpha * start.sigma / start.alpha)
    return weight <= STEEP * math.hypot(end.alpha, end.sigma)


@attrs.frozen
class Heun:
    """Heun, second order (Karras et al. 2022, arXiv 2206.00364, algorithm 2), on any schedule.

    Churn as ``Euler``'s. There is no memory.
    """

    s_churn: float = attrs.field(default=0.0, converter=float)
    s_tmin: float = attrs.field(default=0.0, converter=float)
    s_tmax: float = attrs.field(default=math.inf, converter=float)
    s_noise: float = attrs.field(default=1.0, converter=float)

    def __attrs_post_init__(self) -> None:
        try:
            Euler(self.s_churn, self.s_tmin, self.s_tmax, self.s_noise)
        except InputError as error:
            raise InputError(str(error).replace("Euler", "Heun", 1)) from None

    @property
    def order(self) -> int:
        """2: halving the steps' length quarters the error (with churn it is stochastic, and of order 1)."""
        return 1 if self.s_churn else 2

    def evaluations(self, step: Step) -> int:
        """2, or 1 where a step stays Euler's."""
        return 1 + _halves(step.start, step.end)

    def draws_noise(self, step: Step) -> bool:
        """Whether the step adds noise."""
        if self.s_noise > 0.0 and churn_level(step, self.s_churn, self.s_tmin, self.s_tmax) is not None:
            return True
        return draws(step.start, step.end, 0.0)

    def init(self) -> None:
        """Nothing is remembered."""
        return None

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: None
    ) -> tuple[Tensor, None]:
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``; draws ``noise("churn")`` if it churns."""
        start, end = step.start, step.end
        halves = _halves(start, end)
        if self.s_churn:
            x, start = churned(x, step, noise, self.s_churn, self.s_tmin, self.s_tmax, self.s_noise)
        x_0 = denoise(x, start)
        euler = transition(x, x_0, start, end, 0.0, noise)
        if not halves:
            return euler, None
        dtype = working_dtype(x)
        slope = (x.to(dtype) - start.alpha * x_0.to(dtype)) / start.sigma
        x_0_end = denoise(euler, end).to(dtype)
        # In double for float64 latents, as the slopes: the difference is what makes the second order.
        slope_end = (euler.to(dtype) - end.alpha * x_0_end) / end.sigma
        weight = 0.5 * (end.sigma - end.alpha * start.sigma / start.alpha)
        return (euler.to(dtype) + weight * (slope_end - slope)).to(x.dtype), None
