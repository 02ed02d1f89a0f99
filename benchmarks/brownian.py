"""The noise of a stochastic run as one Brownian motion, so that runs of any number of steps have the same noise.

    y = x_t / alpha_t = x_0 + k eps, k = sigma_t / alpha_t;   w = (y - x_0) / k^2;   lambda = 1 / k^2
    DDPM from t to s:  w_s = w_t + N(0, lambda_s - lambda_t)

While x_0 does not change w is a Brownian motion B in the signal-to-noise ratio lambda, and the noise of one step from t to s is
z = (B(lambda_s) - B(lambda_t)) / sqrt(lambda_s - lambda_t): standard normal, independent from step to step, and exactly what the
steps between t and s add up to. DPM-Solver++'s SDE has the same noise. A run of 50 steps and one of 500 then follow one path,
and their distance is an error, as that of two deterministic runs from one first noise is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Level, Step
from jvid.schedules import TabulatedSchedule

__all__ = ["BrownianPath"]


class BrownianPath:
    """B at the entries of a table, drawn once for each seed.

    Args:
        schedule: the table; levels of a run must be among its entries, as those of ``Leading`` and ``Trailing`` are.
        seeds: one a clip.
        shape: ``(c, f, h, w)``.
    """

    def __init__(self, schedule: TabulatedSchedule, seeds: Sequence[int], shape: Sequence[int]) -> None:
        self.T = schedule.timesteps
        times = torch.arange(self.T, 0, -1, dtype=torch.float64) / self.T
        alpha, sigma = schedule(times)
        ratio = (alpha / sigma).square()
        self.ratio: list[float] = ratio.tolist()
        widths = torch.diff(ratio, prepend=torch.zeros(1, dtype=torch.float64)).sqrt()
        z = keyed_normal(seeds, ("path",), (self.T, *shape)).double()
        self.motion = (z * widths.view(1, -1, *[1] * len(shape))).cumsum(1)

    def initial(self, level: Level) -> Tensor:
        """The first noise of a run that starts at ``level``, ``(b c f h w)`` in float32, standard normal."""
        place = self._place(level)
        return (self.motion[:, place] / math.sqrt(self.ratio[place])).float()

    def increment(self, step: Step) -> Tensor:
        """The noise of a step to less noise, ``(b c f h w)`` in float32, standard normal."""
        start, end = self._place(step.start), self._place(step.end)
        width = math.sqrt(self.ratio[end] - self.ratio[start])
        return ((self.motion[:, end] - self.motion[:, start]) / width).float()

    def _place(self, level: Level) -> int:
        place = self.T - level.t * self.T
        if abs(place - round(place)) > 1e-6 or not 0 <= round(place) < self.T:
            raise ValueError(f"a path got t {level.t:g}; expected an entry of a table of {self.T}, above 0")
        return round(place)
