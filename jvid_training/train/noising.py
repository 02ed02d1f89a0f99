"""Latents at a random noise level, what a network's output should be there, and what the error weighs.

    t ~ `times`,   x_t = alpha x_0 + sigma eps,   target = levels.kind.target(x_0, eps),   weight(t)

On a table t is the time of an entry, as networks on tables are trained at whole timesteps. A batch's times may be stratified:
sample k takes the k-th of b equal parts of [0, 1), all shifted by one number of the step.
"""

from __future__ import annotations

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.core.levels import level_floats
from jvid.schedules import TabulatedSchedule
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_training.data.windows import first_uniform
from jvid_training.recipe import Recipe
from jvid_training.train.plan_cells import plan_cells
from jvid_training.train.times import Base, Times, bands_of
from jvid_training.train.weighting import check_weighting, weight_at

__all__ = ["Noised", "Noising"]


@attrs.frozen(eq=False)
class Noised:
    """One sample at one level; tensors of the latents' shape."""

    x: Tensor
    target: Tensor
    t: float
    weight: float


@attrs.frozen(eq=False)
class Noising:
    """How a recipe's samples are noised.

    Attributes:
        recipe: of which ``noise`` and ``training`` count.
        levels: of the network.
        times: its density of t.
    """

    recipe: Recipe
    levels: SchedulerLevels
    times: Times

    @classmethod
    def of(cls, recipe: Recipe, levels: SchedulerLevels, shift: float = 1.0) -> Noising:
        """That of a recipe, for a network of these levels; ``shift`` of the base density where the recipe states none.

        Raises:
            InputError: a band, a strategy or a weighting that does not fit.
        """
        noise = recipe.noise
        check_weighting(noise, levels)
        base = Base(
            None if noise.times == "uniform" else (noise.mean, noise.std),
            shift if noise.shift is None else noise.shift,
        )
        if noise.from_strategy:
            return cls(recipe, levels, Times(base, plan_cells(noise, levels.schedule)))
        return cls(recipe, levels, Times(base, bands_of(noise, base, levels.schedule) if noise.bands else ()))

    def time(self, random: np.random.Generator, seed: int, step: int, place: int, batch: int) -> float:
        """t of sample ``place`` of a batch, in [0, 1]."""
        u = float(random.random())
        if self.recipe.training.stratified:
            shift = first_uniform(seed, step, 1 << 40)
            u = (shift + (place + u) / batch) % 1.0
        t = self.times.time(u)
        schedule = self.levels.schedule
        if isinstance(schedule, TabulatedSchedule):
            count = schedule.timesteps
            return (min(int(t * count), count - 1) + 1) / count
        return t

    def noised(self, x_0: Tensor, t: float, random: np.random.Generator) -> Noised:
        """Latents ``(c f h w)`` at t."""
        eps = torch.from_numpy(random.standard_normal(tuple(x_0.shape), np.float32))
        if offset := self.recipe.training.offset:
            each = torch.from_numpy(random.standard_normal((len(x_0), 1, 1, 1), np.float32))
            eps = eps + offset * each
        alpha, sigma = level_floats(self.levels.schedule, torch.tensor(t, dtype=torch.float64))
        return Noised(
            alpha * x_0 + sigma * eps,
            self.levels.kind.target(x_0, eps, alpha, sigma),
            t,
            weight_at(self.recipe.noise, self.levels, alpha, sigma),
        )
