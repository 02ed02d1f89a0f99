"""Noise schedules: x_t = alpha_t x_0 + sigma_t eps, t = 0 clean, t = 1 noise.

The common coordinate of all schedules is the angle theta = atan2(sigma, alpha) in [0, pi/2],
finite at both ends, where the log signal-to-noise ratio is not.
A table of T betas: alpha_bar_n = prod_{i<=n} (1 - beta_i); index n is at t = (n + 1) / T with
alpha = sqrt(alpha_bar_n), sigma = sqrt(1 - alpha_bar_n); theta is linear in t between entries, 0 at t = 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.levels import double
from jvid.errors import InputError

__all__ = ["FlowMatching", "TabulatedSchedule", "VarianceExploding"]

SNAP = 1e-6
"""Distance, in units of table entries, below which a time counts as the entry's own: float noise."""


def _check_time(t: Tensor) -> None:
    if not t.is_floating_point():
        raise InputError(
            f"a schedule got times of dtype {t.dtype}; expected floating point in [0, 1]: call t.double()"
        )
    if not bool(((t >= 0) & (t <= 1)).all()):
        raise InputError(
            f"a schedule got a time outside [0, 1]: {t.detach().min().item():g} to {t.detach().max().item():g}; "
            "0 is clean, 1 is noise: divide timesteps n of a table by its length, (n + 1) / T"
        )


def _as_floats(values: Iterable[float] | Tensor) -> tuple[float, ...]:
    return tuple(map(float, values.tolist() if isinstance(values, Tensor) else values))


def _brief(values: tuple[float, ...]) -> str:
    return f"<{len(values)} values, {values[0]:.6g} to {values[-1]:.6g}>"


@attrs.frozen(slots=False)
class TabulatedSchedule:
    """A variance-preserving schedule from a table, as DDPM trains on: alpha^2 + sigma^2 = 1.

    ``alphas_cumprod`` is the table in double precision, by diffusers' timestep n = 0..T-1. Times within
    ``SNAP`` of an entry give that entry exactly. Compares by value; picklable; hashable.
    """

    alphas_cumprod: tuple[float, ...] = attrs.field(converter=_as_floats, repr=_brief)

    def __attrs_post_init__(self) -> None:
        table = self.alphas_cumprod
        if not table:
            raise InputError(
                "TabulatedSchedule got an empty table; expected at least one alpha_bar in [0, 1]"
            )
        previous = 1.0
        for n, value in enumerate(table):
            if not 0.0 <= value <= previous:
                raise InputError(
                    f"TabulatedSchedule got alphas_cumprod[{n}] = {value:g} after {previous:g}; expected values in [0, 1] "
                    "that never rise: give the running products of 1 - beta"
                )
            previous = value

    @classmethod
    def from_betas(cls, betas: Iterable[float] | Tensor) -> TabulatedSchedule:
        """From the variances beta_1..beta_T of equation (1), each in [0, 1]."""
        values = _as_floats(betas)
        for n, beta in enumerate(values):
            if not 0.0 <= beta <= 1.0:
                raise InputError(f"a schedule got betas[{n}] = {beta:g}; expected variances in [0, 1]")
        return cls((1.0 - torch.tensor(values, dtype=torch.float64)).cumprod(0))

    @classmethod
    def linear(cls, start: float = 1e-4, end: float = 0.02, T: int = 1000) -> TabulatedSchedule:
        """Betas linear in n (Ho et al. 2020, arXiv 2006.11239; diffusers' "linear")."""
        return cls.from_betas(torch.linspace(start, end, _length(T), dtype=torch.float64))

    @classmethod
    def scaled_linear(cls, start: float = 0.00085, end: float = 0.012, T: int = 1000) -> TabulatedSchedule:
        """Square roots of the betas linear in n: Stable Diffusion's and the paper's (diffusers' "scaled_linear")."""
        if start < 0 or end < 0:
            raise InputError(f"scaled_linear got start={start:g}, end={end:g}; expected variances in [0, 1]")
        return cls.from_betas(torch.linspace(start**0.5, end**0.5, _length(T), dtype=torch.float64) ** 2)

    @classmethod
    def cosine(cls, T: int = 1000) -> TabulatedSchedule:
        """Squared cosine of Nichol and Dhariwal (2021, arXiv 2102.09672; diffusers' "squaredcos_cap_v2")."""

        def alpha_bar(u: float) -> float:
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

        count = _length(T)
        return cls.from_betas(
            min(1 - alpha_bar((n + 1) / count) / alpha_bar(n / count), 0.999) for n in range(count)
        )

    def zero_terminal_snr(self) -> TabulatedSchedule:
        """Shifted and scaled so that t = 1 is pure noise (Lin et al. 2023, arXiv 2305.08891, algorithm 1)."""
        root = torch.tensor(self.alphas_cumprod, dtype=torch.float64).sqrt()
        if len(self.alphas_cumprod) < 2 or root[0] == root[-1]:
            raise InputError(
                f"zero_terminal_snr got a table of {len(root)} entries that does not fall; expected at least two, falling"
            )
        root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
        return TabulatedSchedule(root**2)

    @property
    def timesteps(self) -> int:
        """T, the number of entries."""
        return len(self.alphas_cumprod)

    @cached_property
    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """alpha, sigma and angle ``(T + 1,)``; entry 0 is the clean end."""
        bar = torch.tensor((1.0, *self.alphas_cumprod), dtype=torch.float64)
        alpha, sigma = bar.sqrt(), (1.0 - bar).sqrt()
        return alpha, sigma, torch.atan2(sigma, alpha)

    def __getstate__(self) -> dict[str, Any]:
        # What is cached is rebuilt: a pickle depends on the value alone.
        return {"alphas_cumprod": self.alphas_cumprod}

    def __setstate__(self, state: dict[str, Any]) -> None:
        object.__setattr__(self, "alphas_cumprod", state["alphas_cumprod"])

    def _position(self, t: Tensor) -> Tensor:
        _check_time(t)
        position = double(t) * self.timesteps
        nearest = position.round()
        return torch.where((position - nearest).abs() < SNAP, nearest, position)

    def timestep(self, t: Tensor) -> Tensor:
        """t ``(*)`` -> the timestep n = max(t T - 1, 0) that networks are given, float64; whole where t is an entry's."""
        return (self._position(t) - 1.0).clamp_min(0.0)

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """t ``(*)`` in [0, 1] -> ``alpha (*)``, ``sigma (*)``, computed in float64, in t's dtype and device."""
        position = self._position(t)
        alphas, sigmas, angles = (table.to(position.device) for table in self._tables)
        low = position.floor().long().clamp_max(self.timesteps - 1)
        weight = position - low
        high = low + 1
        angle = torch.lerp(angles[low], angles[high], weight)
        # The table's own values where t is an entry: cos(pi/2) is not 0.
        alpha = torch.where(weight == 0, alphas[low], torch.where(weight == 1, alphas[high], angle.cos()))
        sigma = torch.where(weight == 0, sigmas[low], torch.where(weight == 1, sigmas[high], angle.sin()))
        return alpha.to(t), sigma.to(t)

    def time_at(self, angle: Tensor) -> Tensor:
        """Inverse of the angle ``(*)``, clamped to [0, 1]; where the table is flat, its earliest time."""
        wanted = double(angle).contiguous()
        angles = self._tables[2].to(wanted.device)
        high = torch.searchsorted(angles, wanted).clamp(1, self.timesteps)
        below, above = angles[high - 1], angles[high]
        gap = above - below
        weight = torch.where(gap > 0, (wanted - below) / torch.where(gap > 0, gap, 1.0), 0.0).clamp(0.0, 1.0)
        return ((high - 1 + weight) / self.timesteps).to(angle)


def _length(T: int) -> int:
    if type(T) is not int or T < 1:
        raise InputError(f"a schedule got T = {T!r}; expected a whole number of timesteps, at least 1")
    return T


@attrs.frozen
class VarianceExploding:
    """alpha = 1 and sigma geometric from sigma_min to sigma_max (Song et al. 2021, arXiv 2011.13456).

    The geometric part spans t in [t_min, 1]; below t_min sigma falls linearly to 0, so that t = 0 is
    clean and both ends are finite: sigma(t) = sigma_min (sigma_max / sigma_min)^((t - t_min) / (1 - t_min)).
    """

    sigma_min: float = attrs.field(default=0.002, converter=float)
    sigma_max: float = attrs.field(default=80.0, converter=float)
    t_min: float = attrs.field(default=1e-3, converter=float)

    def __attrs_post_init__(self) -> None:
        if not 0.0 < self.sigma_min < self.sigma_max < math.inf:
            raise InputError(
                f"VarianceExploding got sigma_min={self.sigma_min:g}, sigma_max={self.sigma_max:g}; "
                "expected 0 < sigma_min < sigma_max"
            )
        if not 0.0 < self.t_min < 1.0:
            raise InputError(
                f"VarianceExploding got t_min={self.t_min:g}; expected a time between 0 and 1, such as 0.001"
            )

    @property
    def _rate(self) -> float:
        return math.log(self.sigma_max / self.sigma_min) / (1.0 - self.t_min)

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """t ``(*)`` in [0, 1] -> ``alpha (*)``, ``sigma (*)``, computed in float64, in t's dtype and device."""
        _check_time(t)
        time = double(t)
        ramp = self.sigma_min * time / self.t_min
        geometric = self.sigma_min * ((time - self.t_min) * self._rate).exp()
        return torch.ones_like(t), torch.where(time < self.t_min, ramp, geometric).to(t)

    def time_at(self, angle: Tensor) -> Tensor:
        """Inverse of the angle ``(*)``, clamped to [0, 1]."""
        # tan would turn negative past pi/2, which is as much noise as there can be.
        sigma = double(angle).clamp(0.0, math.atan(self.sigma_max)).tan()
        ramp = sigma / self.sigma_min * self.t_min
        geometric = self.t_min + (sigma / self.sigma_min).clamp_min(1.0).log() / self._rate
        return torch.where(sigma < self.sigma_min, ramp, geometric).clamp(0.0, 1.0).to(angle)


@attrs.frozen
class FlowMatching:
    """alpha = 1 - t', sigma = t' with t' = shift t / (1 + (shift - 1) t) (rectified flow).

    Shift above 1 spends more steps at high noise (Esser et al. 2024, arXiv 2403.03206, equation 23; Wan).
    """

    shift: float = attrs.field(default=1.0, converter=float)

    def __attrs_post_init__(self) -> None:
        if not 0.0 < self.shift < math.inf:
            raise InputError(f"FlowMatching got shift={self.shift:g}; expected a positive number, 1 for none")

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """t ``(*)`` in [0, 1] -> ``alpha (*)``, ``sigma (*)``, computed in float64, in t's dtype and device."""
        _check_time(t)
        time = double(t)
        denominator = 1.0 + (self.shift - 1.0) * time
        # alpha is not taken as 1 - sigma: it would cancel near t = 1.
        return ((1.0 - time) / denominator).to(t), (self.shift * time / denominator).to(t)

    def time_at(self, angle: Tensor) -> Tensor:
        """Inverse of the angle ``(*)``, clamped to [0, 1]."""
        theta = double(angle).clamp(0.0, math.pi / 2)
        sigma, alpha = theta.sin(), theta.cos()
        return (sigma / (sigma + self.shift * alpha)).clamp(0.0, 1.0).to(angle)
