"""Right wrappers, for mutants to change: one that passes all on, guidance, frames one by one, windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, concat, expand_rows, fold_frames, map_condition
from jvid.core.protocols import Condition, Denoiser
from jvid.denoisers.wrapper import Wrapper
from tests.mutants import Mutant, add

__all__ = ["Frames", "Guide", "Passing", "Windows", "cut", "wrong"]

Class = TypeVar("Class", bound=type)


def wrong(check: str, **context: Any) -> Callable[[Class], Class]:
    """Register a class as a wrong wrapper: the class itself is the factory."""

    def register(made: Class) -> Class:
        add(
            Mutant(
                "wrapper", made.__name__, check, lambda: made, " ".join((made.__doc__ or "").split()), context
            )
        )
        return made

    return register


class Passing(Wrapper):
    """Right: asks the inner denoiser."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x_0 ``(b c f h w)``."""
        return self.denoiser(x, t, cond)


class Guide(Passing):
    """Right: guidance in one batch."""

    def __init__(self, denoiser: Denoiser, scale: float = 2.0) -> None:
        super().__init__(denoiser)
        self.scale = scale

    def halves(self, x: Tensor, t: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """The conditional and the unconditional prediction."""
        plain = expand_rows({name: value for name, value in cond.items() if name != "null"}, len(x))
        both = concat(plain, expand_rows({**plain, **cond["null"]}, len(x)))
        x_0 = self.denoiser(torch.cat([x, x]), torch.cat([t, t]) if t.ndim else t, both)
        return x_0[: len(x)], x_0[len(x) :]

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        return null + self.scale * (one - null)


class Frames(Passing):
    """Right: frames fold into the batch, clip by clip."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        b, c, f, h, w = x.shape
        frames = x.transpose(1, 2).reshape(b * f, c, 1, h, w)
        x_0 = self.denoiser(frames, self.times(t, f), self.folded(cond, b, f))
        return x_0.reshape(b, f, c, h, w).transpose(1, 2)

    def times(self, t: Tensor, f: int) -> Tensor:
        """t of each frame."""
        return t.repeat_interleave(f) if t.ndim else t

    def folded(self, cond: Condition, b: int, f: int) -> Condition:
        """The condition of each frame."""
        return fold_frames(cond, b, f)


def cut(cond: Condition, part: slice) -> Condition:
    """The condition of some frames."""
    return map_condition(cond, lambda name, v: v, lambda name, v: PerFrame(v[:, part]))


class Windows(Passing):
    """Right: windows of 4 frames, 2 apart, the last one at the end; their mean."""

    size, stride = 4, 2

    def starts(self, f: int) -> list[int]:
        """First frames of the windows."""
        return [*range(0, max(f - self.size, 0), self.stride), max(f - self.size, 0)]

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        total, count = torch.zeros_like(x), x.new_zeros(x.shape[2], 1, 1)
        for start in self.starts(x.shape[2]):
            part = slice(start, start + self.size)
            total[:, :, part] += self.denoiser(x[:, :, part], t, self.cut(cond, part))
            count[part] += 1.0
        return total / count

    def cut(self, cond: Condition, part: slice) -> Condition:
        """The condition of a window."""
        return cut(cond, part)
