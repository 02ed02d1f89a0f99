"""The schedule of a cosine (Nichol and Dhariwal 2021, arXiv 2102.09672, equation 17), of continuous time.

    alpha^2 = cos^2((t + s) / (1 + s) pi / 2) / cos^2(s / (1 + s) pi / 2),   kept within low and high;   sigma^2 = 1 - alpha^2

With s = 0 and no bounds it is that of consistency models on an angle (TrigFlow, arXiv 2410.11081): alpha = cos(pi t / 2).
"""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError

__all__ = ["CosineSchedule"]


@attrs.frozen
class CosineSchedule:
    """alpha and sigma by a cosine.

    Attributes:
        s: the offset of time.
        scaler: t becomes 1 - (1 - t)^scaler above 1, t^scaler below (Wuerstchen).
        low: the least alpha^2.
        high: the largest alpha^2.
    """

    s: float = 0.0
    scaler: float = 1.0
    low: float = 0.0
    high: float = 1.0

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """t ``(*)`` in [0, 1] -> ``alpha (*)``, ``sigma (*)``, computed in float64, in t's dtype and device."""
        time = t.double()
        if not bool(((time >= 0.0) & (time <= 1.0)).all()):
            raise InputError(f"time {float(time.flatten()[0]):g}: expected a time in [0, 1]")
        if self.scaler > 1.0:
            time = 1.0 - (1.0 - time) ** self.scaler
        elif self.scaler < 1.0:
            time = time**self.scaler
        if self.s == 0.0 and self.low == 0.0 and self.high == 1.0:
            # Sines and cosines of one angle: neither cancels near an end.
            angle = time * (math.pi / 2)
            return torch.where(time == 1.0, 0.0, angle.cos()).to(t), angle.sin().to(t)
        bar = (((time + self.s) / (1.0 + self.s) * math.pi / 2).cos() / self._first) ** 2
        bar = bar.clamp(self.low, self.high)
        return bar.sqrt().to(t), (1.0 - bar).sqrt().to(t)

    def time_at(self, angle: Tensor) -> Tensor:
        """Inverse of the angle ``(*)``, clamped to [0, 1]; where the bounds hold alpha, the end of that stretch."""
        bar = angle.double().cos() ** 2
        inner = (bar.sqrt() * self._first).clamp(0.0, 1.0).acos()
        time = (inner / (math.pi / 2) * (1.0 + self.s) - self.s).clamp(0.0, 1.0)
        if self.scaler > 1.0:
            time = 1.0 - (1.0 - time) ** (1.0 / self.scaler)
        elif self.scaler < 1.0:
            time = time ** (1.0 / self.scaler)
        return time.to(angle)

    @property
    def _first(self) -> float:
        return math.cos(self.s / (1.0 + self.s) * math.pi / 2)
