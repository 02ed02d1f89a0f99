"""How the rows of a fast forward are laid out: (halves, clips, frames), halves outermost.

Guidance evaluates one x under two conditions. Until the first cross-attention both halves are the same, and one of
them is computed: x then has ``clips frames`` rows, and later ``halves clips frames``.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

__all__ = ["Rows"]


@attrs.frozen(eq=False)
class Rows:
    """The layout of one forward, with what every layer reads.

    Attributes:
        halves: 1, or 2 where guidance evaluates twice.
        clips: b of one half.
        frames: of a clip.
        text: ``(halves clips, m, d)``.
        time: the embedding of time before its activation, ``(1 or halves, 1 or clips, 1 or frames, e)``.
    """

    halves: int
    clips: int
    frames: int
    text: Tensor
    time: Tensor

    def whole(self, x: Tensor) -> Tensor:
        """x with all halves: ``(k clips frames, ...)`` -> ``(halves clips frames, ...)``."""
        missing = self.halves * self.clips * self.frames // len(x)
        return x if missing == 1 else x.repeat(missing, *(1,) * (x.ndim - 1))

    def add(self, x: Tensor, other: Tensor) -> Tensor:
        """x + other, where either may still hold one half for both."""
        if len(x) == len(other):
            return x + other
        few, many = sorted((x, other), key=len)
        return (many.unflatten(0, (-1, len(few))) + few).flatten(0, 1)

    def join(self, x: Tensor, skip: Tensor) -> Tensor:
        """Channels of both, side by side."""
        if len(skip) != len(x):
            x, skip = self.whole(x), self.whole(skip)
        return torch.cat([x, skip], dim=1)

    def timed(self, x: Tensor, values: Tensor) -> Tensor:
        """x plus ``values (1 or halves, 1 or clips, 1 or frames, c)`` at each of its rows."""
        shaped = x.unflatten(0, (-1, self.clips, self.frames))
        return (shaped + values[: len(shaped), ..., None, None]).flatten(0, 2)

    def scaled(self, x: Tensor, values: Tensor) -> Tensor:
        """x times 1 + ``values``, laid out as for ``timed``."""
        shaped = x.unflatten(0, (-1, self.clips, self.frames))
        return (shaped * (1 + values[: len(shaped), ..., None, None])).flatten(0, 2)
