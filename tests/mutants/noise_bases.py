"""A right noise sampler, plainly written: what the wrong ones are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from jvid.core.protocols import Draw

__all__ = ["Shared"]


class Shared:
    """Right: a part of variance ``ratio`` is the same in all frames; what a mutant changes is a method."""

    std = 1.0
    ratio = 0.4

    def correlation(self, i: int, j: int) -> float:
        """Of two frames."""
        return 1.0 if i == j else self.ratio

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """The noise."""
        b, c, _, h, w = shape
        shared = draw("shared", (b, c, 1, h, w))
        return math.sqrt(self.ratio) * shared + math.sqrt(1.0 - self.ratio) * draw("own", shape)
