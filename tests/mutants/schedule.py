"""Wrong schedules: variances for deviations, time the other way, angles that dip, inverses that are not."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from tests.mutants import mutant


class Turning:
    """Right: the angle goes evenly from 0 to pi / 2; what a mutant changes is a method."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma."""
        angle = self.angle(t.double())
        return angle.cos().clamp_min(0.0).to(t.dtype), angle.sin().to(t.dtype)

    def angle(self, t: Tensor) -> Tensor:
        """atan2(sigma, alpha)."""
        return math.pi / 2 * t

    def time_at(self, angle: Tensor) -> Tensor:
        """Its inverse."""
        return (angle / (math.pi / 2)).clamp(0.0, 1.0)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


@mutant("schedule", "alpha_and_sigma_like_t")
class one_time_becomes_a_row(Turning):
    """A single time comes out with an axis."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return super().__call__(t.reshape(-1))


@mutant("schedule", "alpha_and_sigma_like_t")
class always_double(Turning):
    """Levels are left in double precision."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return super().__call__(t.double())


@mutant("schedule", "alpha_and_sigma_like_t")
class ready_for_latents(Turning):
    """Levels come with the axes of latents."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = super().__call__(t)
        return alpha.reshape(*t.shape, 1, 1, 1, 1), sigma.reshape(*t.shape, 1, 1, 1, 1)


@mutant("schedule", "levels_are_levels")
class log_of_the_ratio(Turning):
    """Levels through the logarithm of signal to noise, which is infinite at the ends."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = super().__call__(t)
        ratio = alpha.log() - sigma.log()
        return alpha, sigma + 0.0 * ratio


@mutant("schedule", "levels_are_levels")
class below_zero(Turning):
    """cos(pi / 2) in float32 is below 0."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = math.pi / 2 * t
        return angle.cos(), angle.sin()


@mutant("schedule", "levels_are_levels")
class fades_out(Turning):
    """Signal and noise both fade: nothing is left at the end."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = super().__call__(t)
        return alpha * (1.0 - t), sigma * (1.0 - t)


@mutant("schedule", "from_clean_to_noise")
class begins_at_the_first_beta(Turning):
    """The table's first entry is at t = 0: the clean end has noise."""

    def angle(self, t: Tensor) -> Tensor:
        return 0.01 + (math.pi / 2 - 0.01) * t


@mutant("schedule", "from_clean_to_noise")
class the_other_way(Turning):
    """t = 1 is clean, as in flow matching from noise to data."""

    def angle(self, t: Tensor) -> Tensor:
        return math.pi / 2 * (1.0 - t)


@mutant("schedule", "angle_never_falls")
class dips(Turning):
    """The angle dips in between."""

    def angle(self, t: Tensor) -> Tensor:
        return math.pi / 2 * (t + 0.3 * torch.sin(2 * math.pi * t))


@mutant("schedule", "angle_never_falls")
class a_swapped_entry(Turning):
    """One entry of a table is out of place."""

    def angle(self, t: Tensor) -> Tensor:
        n = (t * 100).floor()
        return math.pi / 200 * torch.where(n == 50, n - 2, n)


@mutant("schedule", "times_are_alone")
class scaled_by_the_latest(Turning):
    """Times are divided by the greatest among them."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return super().__call__(t / t.max().clamp_min(1e-9))


@mutant("schedule", "times_are_alone")
class sorted_times(Turning):
    """Times are sorted for the search in a table, and never put back."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return super().__call__(t.flatten().sort().values.reshape(t.shape))


@mutant("schedule", "float32_agrees")
class rounded_to_timesteps(Turning):
    """In float32, times are rounded to a table of a thousand."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return super().__call__(t if t.dtype == torch.float64 else (t * 1000).floor() / 1000)


@mutant("schedule", "float32_agrees")
class through_a_half(Turning):
    """Computed in half precision where t is not double."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = super().__call__(t)
        return (alpha, sigma) if t.dtype == torch.float64 else (alpha.half().to(t), sigma.half().to(t))


@mutant("schedule", "time_at_finds_the_level")
class nearest_entry(Turning):
    """The inverse gives the nearest entry of a table of a thousand."""

    def time_at(self, angle: Tensor) -> Tensor:
        return (super().time_at(angle) * 1000).round() / 1000


@mutant("schedule", "time_at_finds_the_level")
class inverse_of_sigma(Turning):
    """The inverse takes sigma for the angle."""

    def time_at(self, angle: Tensor) -> Tensor:
        return super().time_at(angle.sin())


@mutant("schedule", "time_at_finds_the_level")
class no_inverse(Turning):
    """There is no way back."""

    time_at = property()


@mutant("schedule", "time_at_stays_within")
class not_clamped(Turning):
    """A schedule that ends short of pure noise, and an inverse that goes on behind its end."""

    def angle(self, t: Tensor) -> Tensor:
        return 1.5 * t

    def time_at(self, angle: Tensor) -> Tensor:
        return angle / 1.5


@mutant("schedule", "time_at_stays_within")
class wraps_around(not_clamped):
    """Behind its end it begins again."""

    def time_at(self, angle: Tensor) -> Tensor:
        return super().time_at(angle).remainder(1.0 + 1e-12)


@mutant("schedule", "the_same_each_time")
class edits_t(Turning):
    """t is scaled in place."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        made = super().__call__(t)
        t.mul_(999.0)
        return made


@mutant("schedule", "the_same_each_time")
class hands_out_its_table(Turning):
    """The levels of a last call are kept and handed out: who writes on them changes the schedule."""

    def __init__(self) -> None:
        self.kept: dict[Any, tuple[Tensor, Tensor]] = {}

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.kept.setdefault((t.shape, tuple(t.flatten().tolist())), super().__call__(t))


@mutant("schedule", "the_same_each_time")
class warms_up(Turning):
    """The first calls are noisier."""

    def __init__(self) -> None:
        self.calls = itertools.count(1)

    def angle(self, t: Tensor) -> Tensor:
        return super().angle(t ** (1.0 - 0.1 / next(self.calls)))


@mutant("schedule", "equal_by_value")
class equal_by_identity(Turning):
    """There is no __eq__: a copy in another process is another schedule."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


@mutant("schedule", "equal_by_value")
class equal_by_name(Turning):
    """Equal to whatever has no more to say."""

    def __eq__(self, other: object) -> bool:
        return hasattr(other, "time_at")

    __hash__ = Turning.__hash__


@mutant("schedule", "equal_by_value")
class another_hash(Turning):
    """Equal, with the hash of the object."""

    def __hash__(self) -> int:
        return id(self)


@mutant("schedule", "globals_untouched")
class sets_the_default(Turning):
    """Double precision is made the default of the process, to be precise."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        torch.set_default_dtype(torch.float64)
        return super().__call__(t)
