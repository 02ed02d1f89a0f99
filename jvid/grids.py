"""The times that a sampler visits: t_0 > t_1 > ... > t_N = 0, or any walk that ends clean.

A grid of N steps over a table of T entries picks timesteps n (diffusers' spacings) and visits
t = (n + 1) / T, then the clean end 0. ``Explicit`` may step back up (restart, zigzag). A grid is called
with the reference schedule, which grids of timesteps do not need.

Published models may end above 0, and their latents are decoded as they are there: with ``clean`` false a grid ends at the
table's first entry, t = 1 / T (diffusers' set_alpha_to_one=False, final_sigmas_type="sigma_min"), or at its own lowest level.
The step to a level that is reached already is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import attrs
import torch

from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule, VarianceExploding

__all__ = ["ByAngle", "Explicit", "Karras", "Leading", "Linspace", "Native", "Trailing", "Zigzag"]


def _whole(name: str, value: int, least: int) -> None:
    if type(value) is not int or value < least:
        raise InputError(f"a grid got {name}={value!r}; expected a whole number, at least {least}")


def _check_steps(steps: int, T: int) -> None:
    _whole("T", T, 1)
    _whole("steps", steps, 1)
    if steps > T:
        raise InputError(f"a grid got steps={steps}; expected at most {T}, the timesteps of the schedule")


def _times(timesteps: Iterable[float], T: int, clean: bool = True) -> tuple[float, ...]:
    times = tuple((n + 1) / T for n in timesteps)
    end = 0.0 if clean else 1 / T
    if len(times) < 2 and times[-1] <= end:
        raise InputError(
            f"a grid of one step from t = {times[0]:g} ends there: expected more steps, or clean=True"
        )
    return times if times[-1] <= end else (*times, end)


@attrs.frozen
class Leading:
    """n = offset + i (T // steps), from high to low: 980, ..., 0 for 50 steps (the paper's, and Stable Diffusion's).

    ``skip_lowest``: the times of one step more, without the lowest, as diffusers' UniPC and DPM-Solver++ have them.
    """

    steps: int
    offset: int = 0
    T: int = 1000
    clean: bool = True
    skip_lowest: bool = False

    def __attrs_post_init__(self) -> None:
        _check_steps(self.steps + self.skip_lowest, self.T)
        _whole("offset", self.offset, 0)
        highest = self._timesteps[0]
        if highest >= self.T:
            raise InputError(
                f"Leading got steps={self.steps}, offset={self.offset}: it would start at timestep {highest}; "
                f"expected at most {self.T - 1}: lower the offset"
            )

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0 or, where they do not end clean, 1 / T."""
        return _times(self._timesteps, self.T, self.clean)

    @property
    def _timesteps(self) -> tuple[int, ...]:
        count = self.steps + self.skip_lowest
        stride = self.T // count
        return tuple(self.offset + i * stride for i in reversed(range(self.skip_lowest, count)))


@attrs.frozen
class Trailing:
    """n = round(T - i T / steps) - 1: starts at T - 1, pure noise (Lin et al. 2023, arXiv 2305.08891)."""

    steps: int
    T: int = 1000
    clean: bool = True

    def __attrs_post_init__(self) -> None:
        _check_steps(self.steps, self.T)

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0 or, where they do not end clean, 1 / T."""
        timesteps = (round(self.T - i * self.T / self.steps) - 1 for i in range(self.steps))
        return _times(timesteps, self.T, self.clean)


@attrs.frozen
class Linspace:
    """n evenly from T - 1 to 0, rounded; both ends are visited.

    ``rounded`` false leaves n between entries, as diffusers' Euler has it. ``skip_lowest``: as of ``Leading``.
    """

    steps: int
    T: int = 1000
    clean: bool = True
    rounded: bool = True
    skip_lowest: bool = False

    def __attrs_post_init__(self) -> None:
        _check_steps(self.steps + self.skip_lowest, self.T)

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0 or, where they do not end clean, 1 / T."""
        count = self.steps + self.skip_lowest
        if count == 1:
            return _times((self.T - 1,), self.T, self.clean)
        gap = (self.T - 1) / (count - 1)
        timesteps = (i * gap for i in reversed(range(self.skip_lowest, count)))
        return _times(map(round, timesteps) if self.rounded else timesteps, self.T, self.clean)


def _on(schedule: NoiseSchedule | None, who: str) -> NoiseSchedule:
    if schedule is None:
        raise InputError(
            f"{who} was called without a schedule; expected the reference schedule of its levels"
        )
    return schedule


def _angle(schedule: NoiseSchedule, t: float) -> float:
    alpha, sigma = schedule(torch.tensor(t, dtype=torch.float64))
    return math.atan2(float(sigma), float(alpha))


def _first(schedule: NoiseSchedule) -> float:
    """The least time but 0 that a schedule declares."""
    if isinstance(schedule, TabulatedSchedule):
        return 1.0 / schedule.timesteps
    return schedule.t_min if isinstance(schedule, VarianceExploding) else 0.001


def _times_at(schedule: NoiseSchedule, angles: Iterable[float]) -> tuple[float, ...]:
    times = schedule.time_at(torch.tensor(list(angles), dtype=torch.float64))
    return (*map(float, times), 0.0)


@attrs.frozen
class Karras:
    """sigma / alpha falls evenly in its rho-th root (Karras et al. 2022, arXiv 2206.00364, equation 5).

    ``sigma_min`` and ``sigma_max`` are of sigma / alpha; by default the schedule's own: at t = 1, and, as diffusers
    has it, at a table's first entry or an exploding schedule's ``sigma_min`` (t = 0.001 on others). The step behind
    it ends clean; without ``clean`` there is none, and the grid ends at ``sigma_min``.
    """

    steps: int
    rho: float = attrs.field(default=7.0, converter=float)
    sigma_min: float | None = None
    sigma_max: float | None = None
    clean: bool = True

    def __attrs_post_init__(self) -> None:
        _whole("steps", self.steps, 1 if self.clean else 2)
        if not 0.0 < self.rho < math.inf:
            raise InputError(f"Karras got rho={self.rho:g}; expected a positive number, 7 as a rule")
        for name in ("sigma_min", "sigma_max"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise InputError(
                    f"Karras got {name}={value!r}; expected a positive number, or none for the schedule's own"
                )

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0; ``steps`` where they do not end clean."""
        reference = _on(schedule, "Karras")
        high = math.tan(_angle(reference, 1.0)) if self.sigma_max is None else self.sigma_max
        low = math.tan(_angle(reference, _first(reference))) if self.sigma_min is None else self.sigma_min
        if _angle(reference, 1.0) > math.pi / 2 - 1e-9 and self.sigma_max is None:
            raise InputError(
                "Karras got a schedule that begins in pure noise; expected sigma_max, the finite ratio to start at"
            )
        if not low < high:
            raise InputError(
                f"Karras got sigma_min {low:g} and sigma_max {high:g}; expected sigma_min < sigma_max"
            )
        if high > math.tan(_angle(reference, 1.0)) * (1.0 + 1e-9) > 0.0:
            raise InputError(
                f"Karras got sigma_max {high:g}; expected at most {math.tan(_angle(reference, 1.0)):g}, the schedule's own"
            )
        top, bottom = high ** (1.0 / self.rho), low ** (1.0 / self.rho)
        count = max(self.steps - 1, 1)
        angles = (math.atan((top + i / count * (bottom - top)) ** self.rho) for i in range(self.steps))
        times = _times_at(reference, angles)
        return times if self.clean else times[:-1]


@attrs.frozen
class ByAngle:
    """Evenly in the angle atan2(sigma, alpha), from the schedule's noisiest to clean: finite at both ends."""

    steps: int

    def __attrs_post_init__(self) -> None:
        _whole("steps", self.steps, 1)

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0."""
        reference = _on(schedule, "ByAngle")
        top = _angle(reference, 1.0)
        return (1.0, *_times_at(reference, (top * (1.0 - i / self.steps) for i in range(1, self.steps))))


@attrs.frozen
class Zigzag:
    """``Leading(steps)``, which goes back up by ``back`` steps, ``repeats`` times, where t is between ``low`` and ``high``.

    Every ``back`` steps of that range the walk rises to where they began and goes down again: restart
    sampling (Xu et al. 2023, arXiv 2306.14878), the zigzag of IV-Mixed sampling (arXiv 2410.07047).
    """

    steps: int
    back: int = 1
    repeats: int = 1
    low: float = attrs.field(default=0.3, converter=float)
    high: float = attrs.field(default=0.8, converter=float)
    T: int = 1000

    def __attrs_post_init__(self) -> None:
        _check_steps(self.steps, self.T)
        _whole("back", self.back, 1)
        _whole("repeats", self.repeats, 0)
        if not 0.0 <= self.low < self.high <= 1.0:
            raise InputError(
                f"Zigzag got low={self.low:g} and high={self.high:g}; expected 0 <= low < high <= 1, in t"
            )
        if self.repeats and len(self()) == self.steps + 1:
            raise InputError(
                f"Zigzag got back={self.back}, but no {self.back} of its {self.steps} steps lie between low={self.low:g} and "
                f"high={self.high:g}: lower back, widen the range or take more steps"
            )

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The times, more than ``steps + 1`` where the walk goes back, the last 0.0."""
        base = Leading(self.steps, T=self.T)()
        out = [base[0]]
        since = 0
        for at in range(1, len(base)):
            out.append(base[at])
            inside = self.low <= base[at] and base[at - 1] <= self.high
            since = since + 1 if inside else 0
            if since == self.back:
                for _ in range(self.repeats):
                    out += base[at - self.back : at + 1]
                since = 0
        return tuple(out)


def _floats(times: str | Iterable[float]) -> tuple[float, ...]:
    """Numbers, or text such as 1+.5+0."""
    parts = times.split("+") if isinstance(times, str) else times
    try:
        return tuple(map(float, parts))
    except (TypeError, ValueError):
        raise InputError(f"Explicit got times={times!r}; expected numbers, as text 1+.5+0") from None


@attrs.frozen
class Explicit:
    """The times themselves, in [0, 1], at least two, the last 0 unless ``clean`` is false. They may rise."""

    times: tuple[float, ...] = attrs.field(converter=_floats)
    clean: bool = True

    def __attrs_post_init__(self) -> None:
        for i, t in enumerate(self.times):
            if not (0.0 <= t <= 1.0) or math.isnan(t):
                raise InputError(f"Explicit got times[{i}] = {t:g}; expected times in [0, 1], 1 for noise")
        if len(self.times) < 2 or (self.clean and self.times[-1] != 0.0):
            raise InputError(
                f"Explicit got {len(self.times)} times"
                + (f" that end at {self.times[-1]:g}" if self.times else "")
                + "; expected at least two, the last 0.0 (clean), or clean=False"
            )

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The times as given."""
        return self.times


@attrs.frozen
class Native:
    """The times that the ensemble's own model visits, as those of a diffusers pipeline; its shift and its end are among them.

    Raises:
        InputError: at the first call, for an ensemble that has no times of its own.
    """

    steps: int
    ensemble: Any = attrs.field(default=None, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _whole("steps", self.steps, 1)

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, as the model has them."""
        times = getattr(self.ensemble, "times", None)
        if times is None:
            raise InputError(
                "grid native: the ensemble has no times of its own; expected one of pipelines, or another grid such as trailing"
            )
        if schedule is not None and schedule != getattr(self.ensemble, "schedule", schedule):
            raise InputError(
                "grid native: its times are of the ensemble's schedule; leave the strategy's schedule out, or take another grid"
            )
        return tuple(map(float, times(self.steps)))
