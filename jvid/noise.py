"""Noise of the image steps: correlation of frames and entropy reduction (section 3.5).

    z_shared ~ N(0, r I),  z_ind^f ~ N(0, (1 - r) I)          (8)
    z^f = z_shared + z_ind^f                                  (9)
    gamma sigma_t z  in place of  sigma_t z                   in (5)

r and 1 - r are *variances*: the weights of standard draws are sqrt(r) and sqrt(1 - r), so each
element keeps variance 1 and two frames correlate by r. A sampler here declares its deviation
``std`` and ``correlation(i, j)`` of two frames; the conformance kit measures both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import attrs
from torch import Tensor

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.protocols import Draw

__all__ = ["DeclaredNoise", "IndependentNoise", "ScaledNoise", "SharedNoise"]


class DeclaredNoise(Protocol):
    """A noise sampler that says what it draws, so that it can be measured."""

    @property
    def std(self) -> float:
        """The deviation of each element."""
        ...

    def correlation(self, i: int, j: int) -> float:
        """The correlation of frames i and j at the same place; 1 for i = j."""
        ...

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape."""
        ...


@attrs.frozen
class IndependentNoise:
    """N(0, 1) at each element: z of equation (5), and r = 0."""

    @property
    def std(self) -> float:
        return 1.0

    def correlation(self, i: int, j: int) -> float:
        return float(i == j)

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape."""
        return draw("independent", shape)


@attrs.frozen
class SharedNoise:
    """A part of variance ``ratio`` is the same in all frames: equations (8) and (9).

    Ratio 0 is ``IndependentNoise``, bit for bit; ratio 1 is one still image of noise.
    """

    ratio: float = attrs.field()

    @ratio.validator
    def _check_ratio(self, attribute: object, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise InputError(f"ratio {value!r}: expected 0 (independent frames) to 1 (the same noise in all)")

    @property
    def std(self) -> float:
        return 1.0

    def correlation(self, i: int, j: int) -> float:
        return 1.0 if i == j else float(self.ratio)

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape."""
        b, c, f, h, w = shape
        if self.ratio == 0.0:
            return draw("independent", shape)
        shared = draw("shared", (b, c, 1, h, w))
        if self.ratio == 1.0:
            return shared.expand(b, c, f, h, w).clone()
        own = draw("independent", shape)
        return math.sqrt(self.ratio) * shared + math.sqrt(1.0 - self.ratio) * own


@attrs.frozen
class ScaledNoise:
    """``gamma`` times the noise of ``inner``: entropy reduction of section 3.5.

    gamma 0 adds nothing; gamma 1 is ``inner``, bit for bit.
    """

    inner: DeclaredNoise
    gamma: float = attrs.field()

    @gamma.validator
    def _check_gamma(self, attribute: object, value: float) -> None:
        if not 0.0 <= value < math.inf:
            raise InputError(f"gamma {value!r}: expected a finite number, 0 or more")

    @property
    def std(self) -> float:
        return self.gamma * self.inner.std

    def correlation(self, i: int, j: int) -> float:
        return self.inner.correlation(i, j)

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape."""
        return self.gamma * self.inner(shape, draw)
