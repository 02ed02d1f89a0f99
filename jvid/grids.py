"""The times that a sampler visits: t_0 > t_1 > ... > t_N = 0, or any walk that ends clean.

A grid of N steps over a table of T entries picks timesteps n (diffusers' spacings) and visits
t = (n + 1) / T, then the clean end 0. ``Explicit`` may step back up (restart, zigzag). A grid is called
with the reference schedule, which grids of timesteps do not need.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs
import torch

from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule, VarianceExploding

__all__ = ["ByAngle", "Explicit", "Karras", "Leading", "Linspace", "Trailing", "Zigzag"]


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
    it ends clean.
    """

    steps: int
    rho: float = attrs.field(default=7.0, converter=float)
    sigma_min: float | None = None
    sigma_max: float | None = None

    def __attrs_post_init__(self) -> None:
        _whole("steps", self.steps, 1)
        if not 0.0 < self.rho < math.inf:
            raise InputError(f"Karras got rho={self.rho:g}; expected a positive number, 7 as a rule")
        for name in ("sigma_min", "sigma_max"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise InputError(
                    f"Karras got {name}={value!r}; expected a positive number, or none for the schedule's own"
                )

    def __call__(self, schedule: NoiseSchedule | None = None) -> tuple[float, ...]:
        """The ``steps + 1`` times, the last 0.0."""
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
        return _times_at(
            reference, (math.atan((top + i / count * (bottom - top)) ** self.rho) for i in range(self.steps))
        )


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
