"""Wrong grids: off by one, turned round, not ended, kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from jvid.core.protocols import NoiseSchedule
from tests.mutants import mutant


class Evenly:
    """Right: ``steps`` equal steps from 1 to 0; what a mutant changes is a method."""

    steps = 7

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        """The times."""
        return [1.0 - i / self.steps for i in range(self.steps + 1)]


@mutant("grid", "times_of_a_schedule")
class timesteps(Evenly):
    """Timesteps of a table, 999 to 0, in place of times."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return [999.0 * t for t in super().__call__(schedule)]


@mutant("grid", "times_of_a_schedule")
class a_tensor(Evenly):
    """A tensor, whose elements are tensors."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return list(torch.tensor(super().__call__(schedule)))


@mutant("grid", "times_of_a_schedule")
class not_a_number(Evenly):
    """The ratio at the clean end, 0 / 0, is among the times."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return [*super().__call__(schedule)[:-1], math.nan, 0.0]


@mutant("grid", "the_last_is_clean")
class stops_short(Evenly):
    """The clean end is left out, as where it is taken for the last timestep."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return [1.0 - i / (self.steps + 1) for i in range(self.steps + 1)]


@mutant("grid", "the_last_is_clean")
class turned_round(Evenly):
    """From clean to noise."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return list(super().__call__(schedule))[::-1]


@mutant("grid", "every_step_goes_somewhere")
class twice_the_end(Evenly):
    """The end is there twice: a step that does nothing and costs a call."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return [*list(super().__call__(schedule))[1:], 0.0]


@mutant("grid", "every_step_goes_somewhere")
class rounded(Evenly):
    """Times are rounded to a tenth, and neighbours fall together."""

    steps = 15

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return [round(t, 1) for t in super().__call__(schedule)]


@mutant("grid", "every_step_goes_somewhere")
class a_step_back(Evenly):
    """Two times are out of order."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        times = list(super().__call__(schedule))
        times[2], times[3] = times[3], times[2]
        return times


@mutant("grid", "as_many_steps_as_requested")
class one_step_less(Evenly):
    """As many times as steps, which is one step less."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return [1.0 - i / (self.steps - 1) for i in range(self.steps)]


@mutant("grid", "the_same_each_time")
class used_up(Evenly):
    """The list is kept and handed out: who changes it changes the next run."""

    def __init__(self) -> None:
        self.times = list(super().__call__(None))  # type: ignore[arg-type]

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return self.times


@mutant("grid", "the_same_each_time")
class moves_on(Evenly):
    """Times bend a little more at each call, as a grid that was tuned while it ran."""

    def __init__(self) -> None:
        self.power = 0

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        self.power += 1
        return [t ** (1.0 + 0.01 * self.power) for t in super().__call__(schedule)]


@mutant("grid", "the_same_each_time")
class jittered(Evenly):
    """Times are jittered by a generator of its own."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        shift = float(torch.rand((), generator=self.generator)) * 0.01
        return [t * (1.0 - shift) for t in super().__call__(schedule)]

    def __reduce__(self) -> Any:
        return jittered, ()


@mutant("grid", "globals_untouched")
class jittered_by_all(Evenly):
    """Times are jittered by torch's generator."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return [t * (1.0 - 0.01 * float(torch.rand(()))) for t in super().__call__(schedule)]


@mutant("grid", "levels_are_levels", rising=True)
class rises_above_its_start(Evenly):
    """It begins in the middle and rises from there: what begins is not noise of its level."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        return [0.5, 0.9, 0.4, 0.0]
