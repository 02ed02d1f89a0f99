"""The right denoiser that mutants change: exact, and conditioned on text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import require
from jvid.core.keyed import keyed_normal
from jvid.core.levels import working_dtype
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.schedules import TabulatedSchedule
from tests.mutants import mutant


def prompted(b: int, f: int) -> Condition:
    """What the right one is conditioned on: its mean is that of the text, .3 for each clip."""
    return {"text": 0.3 + 0.0 * keyed_normal(range(b), ("text",), (3, 2), torch.float64)}


def data() -> Tensor:
    """What the right one knows: N(.3, .5^2) at each element."""
    return 0.3 + 0.5 * keyed_normal(range(4), ("data of mutants",), (4, 4, 6, 6), torch.float64)


CONTEXT: dict[str, Any] = {"cond": prompted, "data": data()}


class Grey:
    """Right: the exact denoiser of N(m, .5^2), m from the text; what a mutant changes is a method."""

    schedule: NoiseSchedule = TabulatedSchedule.scaled_linear()
    std = 0.5

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x_0 ``(b c f h w)``."""
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in self.schedule(self.time(t.double())))
        gain = alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)
        mean = self.mean(x, cond)
        dtype = working_dtype(x)
        return (mean + gain.to(dtype) * (x.to(dtype) - alpha.to(dtype) * mean)).to(x.dtype)

    def time(self, t: Tensor) -> Tensor:
        """The time that it is evaluated at."""
        return t

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        """m ``(b or 1, 1, 1, 1, 1)``."""
        text: Tensor = require(cond, "text", "Grey")
        return text.mean(dim=(1, 2)).view(-1, 1, 1, 1, 1).to(working_dtype(x))


def wrong(check: str, **context: Any) -> Any:
    """Register a mutant, with the condition and the data of the right one."""
    return mutant("denoiser", check, **{**CONTEXT, **context})
