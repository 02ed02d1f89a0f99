"""Euler's method on the probability-flow ODE, in the coordinates of Karras et al.: x / alpha over rho = sigma / alpha.

    d(x / alpha) / d rho = eps,   x_s = alpha_s (x_t / alpha_t + (rho_s - rho_t) eps)

which is DDIM's step at eta = 0 on any schedule. Churn (their algorithm 2) first steps back up to
rho (1 + gamma), gamma = min(s_churn / steps, sqrt(2) - 1), with noise of deviation s_noise, and evaluates there.
"""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from jvid.core.levels import working_dtype
from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.errors import InputError
from jvid.solvers.kernel import draws, transition

__all__ = ["Euler", "churn_level", "churned"]


@attrs.frozen
class Euler:
    """Euler (Karras et al. 2022, arXiv 2206.00364, algorithm 2 without its second order), on any schedule.

    ``s_churn`` 0 is deterministic; ``s_tmin`` and ``s_tmax`` bound the sigma / alpha at which noise is added.
    There is no memory.
    """

    s_churn: float = attrs.field(default=0.0, converter=float)
    s_tmin: float = attrs.field(default=0.0, converter=float)
    s_tmax: float = attrs.field(default=math.inf, converter=float)
    s_noise: float = attrs.field(default=1.0, converter=float)

    def __attrs_post_init__(self) -> None:
        for name in ("s_churn", "s_tmin", "s_noise"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(
                    f"Euler got {name}={getattr(self, name):g}; expected a finite number, 0 or more"
                )
        if not self.s_tmax >= self.s_tmin:
            raise InputError(
                f"Euler got s_tmax={self.s_tmax:g} below s_tmin={self.s_tmin:g}; expected s_tmin <= s_tmax"
            )

    @property
    def order(self) -> int:
        """1: halving the steps' length halves the error."""
        return 1

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
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``; one evaluation, draws ``noise("churn")`` if it churns."""
        start = step.start
        if self.s_churn:
            x, start = churned(x, step, noise, self.s_churn, self.s_tmin, self.s_tmax, self.s_noise)
        return transition(x, denoise(x, start), start, step.end, 0.0, noise), None


def churned(
    x: Tensor, step: Step, noise: Noise, s_churn: float, s_tmin: float, s_tmax: float, s_noise: float
) -> tuple[Tensor, Level]:
    """x and its level after noise was added at the start of a falling step; both as they were where none is."""
    start = step.start
    found = churn_level(step, s_churn, s_tmin, s_tmax)
    if found is None:
        return x, start
    up, added = found
    dtype = working_dtype(x)
    moved = x.to(dtype) * (up.alpha / start.alpha)
    moved += noise("churn").to(x.device, dtype) * (up.alpha * math.sqrt(added) * s_noise)
    return moved.to(x.dtype), up


def churn_level(step: Step, s_churn: float, s_tmin: float, s_tmax: float) -> tuple[Level, float] | None:
    """The level that churn goes up to, and the variance of sigma / alpha that it adds; None where it adds none."""
    start, end = step.start, step.end
    if not s_churn or start.alpha == 0.0 or start.sigma == 0.0 or start.angle <= end.angle:
        return None
    rho = start.sigma / start.alpha
    if not s_tmin <= rho <= s_tmax:
        return None
    wanted = rho * (1.0 + min(s_churn / step.count, math.sqrt(2.0) - 1.0))
    if step.schedule is None:
        raise InputError(
            f"step {step.index} has no schedule to churn on: build it with Step(..., schedule=...)"
        )
    t = step.schedule.time_at(torch.tensor(math.atan(wanted), dtype=torch.float64))
    up = step.level_at(float(t))  # not above the schedule's own noisiest
    added = (up.sigma / up.alpha) ** 2 - rho**2 if up.alpha else 0.0
    return (up, added) if added > 0.0 else None
