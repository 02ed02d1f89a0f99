"""Latents at a random noise level, what a network's output should be there, and what the error weighs.

    t ~ `times`,   x_t = alpha x_0 + sigma eps,   target = levels.kind.target(x_0, eps),   weight(t)

On a table t is the time of an entry, as networks on tables are trained at whole timesteps. A batch's times may be stratified:
sample k takes the k-th of b equal parts of [0, 1), all shifted by one number of the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.core.levels import level_floats
from jvid.schedules import TabulatedSchedule
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.adapters.scheduler_outputs import OutputKind
from jvid_training.data.streams import first_uniform
from jvid_training.recipe import Recipe
from jvid_training.train.plan_cells import plan_cells
from jvid_training.train.times import Base, Times, bands_of
from jvid_training.train.weighting import check_weighting, weight_at

__all__ = ["Noised", "Noising"]


@attrs.frozen(eq=False)
class Noised:
    """Samples at a level each: ``x`` and ``target`` ``(b c f h w)``, and b times and weights."""

    x: Tensor
    target: Tensor
    t: tuple[float, ...]
    weight: tuple[float, ...]


@attrs.frozen(eq=False)
class Noising:
    """How a recipe's samples are noised.

    Attributes:
        recipe: of which ``noise`` and ``training`` count.
        levels: of the network.
        times: its density of t.
        entries: alpha, sigma and timestep by t, of a table: computed once, a sample's numbers cost as much as its noise.
    """

    recipe: Recipe
    levels: SchedulerLevels
    times: Times
    entries: Mapping[float, tuple[float, float, float]] = attrs.field(init=False, repr=False)

    @entries.default
    def _entries(self) -> Mapping[float, tuple[float, float, float]]:
        schedule = self.levels.schedule
        if not isinstance(schedule, TabulatedSchedule) or not self.levels.clock.of_a_table:
            return {}
        t = torch.arange(1, schedule.timesteps + 1, dtype=torch.float64) / schedule.timesteps
        columns = (t, *schedule(t), self.levels.timestep(t))
        return {row[0]: row[1:] for row in zip(*(column.tolist() for column in columns), strict=True)}

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

    def timestep(self, t: float) -> int:
        """The network's time at a table's entry."""
        known = self.entries.get(t)
        if known is None:
            return round(float(self.levels.timestep(torch.tensor(t, dtype=torch.float64))))
        return round(known[2])

    def draw(self, random: np.random.Generator, eps: np.ndarray) -> None:
        """Fill ``eps`` ``(c f h w)`` float32 with the noise of a sample."""
        random.standard_normal(dtype=np.float32, out=eps)
        if offset := self.recipe.training.offset:
            eps += offset * random.standard_normal((len(eps), 1, 1, 1), np.float32)

    def noised(self, x_0: Tensor, t: Sequence[float], eps: np.ndarray) -> Noised:
        """Latents ``(b c f h w)`` with noise of the same shape, each at its t."""
        levels = [self._level(each) for each in t]
        # In numpy: of so few numbers a call costs more than its arithmetic, and torch's calls cost several times as much.
        alpha, sigma = (
            np.array(values, np.float32).reshape(-1, 1, 1, 1, 1) for values in zip(*levels, strict=True)
        )
        return Noised(
            torch.from_numpy(alpha * x_0.numpy() + sigma * eps),
            self._target(x_0, torch.from_numpy(eps), levels),
            tuple(t),
            tuple(weight_at(self.recipe.noise, self.levels, *level) for level in levels),
        )

    def _level(self, t: float) -> tuple[float, float]:
        if (known := self.entries.get(t)) is not None:
            return known[0], known[1]
        return level_floats(self.levels.schedule, torch.tensor(t, dtype=torch.float64))

    def _target(self, x_0: Tensor, eps: Tensor, levels: Sequence[tuple[float, float]]) -> Tensor:
        kind = self.levels.kind
        if kind == OutputKind("eps"):
            return eps
        rows = zip(x_0, eps, levels, strict=True)
        return torch.stack([kind.target(one, noise, alpha, sigma) for one, noise, (alpha, sigma) in rows])
