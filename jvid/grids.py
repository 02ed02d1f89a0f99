"""The times that a sampler visits: t_0 > t_1 > ... > t_N = 0, or any walk that ends clean.

A grid of N steps over a table of T entries picks timesteps n (diffusers' spacings) and visits
t = (n + 1) / T, then the clean end 0. ``Explicit`` may step back up (restart, zigzag). A grid is called
with the reference schedule, which those that speak of timesteps do not need.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from jvid.errors import InputError
from jvid.protocols import NoiseSchedule

__all__ = ["Explicit", "Leading", "Linspace", "Trailing"]


def _whole(name: str, value: int, least: int) -> None:
    if type(value) is not int or value < least:
        raise InputError(f"a grid got {name}={value!r}; expected a whole number, at least {least}")


def _check_steps(steps: int, T: int) -> None:
    _whole("T", T, 1)
    _whole("steps", steps, 1)
    if steps > T:
        raise InputError(f"a grid got steps={steps}; expected at most {T}, the timesteps of the schedule")


def _times(timesteps: Iterable[int], T: int) -> tuple[float, ...]:
    return (*((n + 1) / T for n in timesteps), 0.0)


@attrs.frozen
class Leading:
    """n = offset + i (T // steps), from high to low: 980, ..., 0 for 50 steps (the paper's, and Stable Diffusion's)."""

    steps: int
    offset: int = 0
    T: int = 1000

    def __attrs_post_init__(self) -> None:
        _check_steps(self.steps, self.T)
        _whole("offset", self.offset, 0)
        highest = self.offset + (self.steps - 1) * (self.T // self.steps)
        if highest >= self.T:
            raise InputError(
                f"Leading got steps={self.steps}, offset={self.offset}: it would start at timestep {highest}; "
                f"expected at most {self.T - 1}: lower the offset"
            )

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0."""
        stride = self.T // self.steps
        return _times((self.offset + i * stride for i in reversed(range(self.steps))), self.T)


@attrs.frozen
class Trailing:
    """n = round(T - i T / steps) - 1: starts at T - 1, pure noise (Lin et al. 2023, arXiv 2305.08891)."""

    steps: int
    T: int = 1000

    def __attrs_post_init__(self) -> None:
        _check_steps(self.steps, self.T)

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0."""
        return _times((round(self.T - i * self.T / self.steps) - 1 for i in range(self.steps)), self.T)


@attrs.frozen
class Linspace:
    """n evenly from T - 1 to 0, rounded; both ends are visited."""

    steps: int
    T: int = 1000

    def __attrs_post_init__(self) -> None:
        _check_steps(self.steps, self.T)

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0."""
        if self.steps == 1:
            return _times((self.T - 1,), self.T)
        gap = (self.T - 1) / (self.steps - 1)
        return _times((round(i * gap) for i in reversed(range(self.steps))), self.T)


def _floats(times: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(float, times))


@attrs.frozen
class Explicit:
    """The times themselves, in [0, 1], at least two, the last 0. They may rise."""

    times: tuple[float, ...] = attrs.field(converter=_floats)

    def __attrs_post_init__(self) -> None:
        for i, t in enumerate(self.times):
            if not (0.0 <= t <= 1.0) or math.isnan(t):
                raise InputError(f"Explicit got times[{i}] = {t:g}; expected times in [0, 1], 1 for noise")
        if len(self.times) < 2 or self.times[-1] != 0.0:
            raise InputError(
                f"Explicit got {len(self.times)} times"
                + (f" that end at {self.times[-1]:g}" if self.times else "")
                + "; expected at least two, the last 0.0 (clean)"
            )

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The times as given."""
        return self.times
