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
from typing import TYPE_CHECKING, Literal, Protocol

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import Draw

__all__ = [
    "DeclaredNoise", "IndependentNoise", "MixedNoise", "OffsetNoise", "ProgressiveNoise", "ScaledNoise", "SharedNoise",
]  # fmt: skip


class DeclaredNoise(Protocol):
    """A noise sampler that declares its deviation and correlation, so that they can be measured."""

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
        """The deviation of each element."""
        return 1.0

    def correlation(self, i: int, j: int) -> float:
        """The correlation of frames i and j at the same place."""
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
        """The deviation of each element."""
        return 1.0

    def correlation(self, i: int, j: int) -> float:
        """The correlation of frames i and j at the same place."""
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
        """The deviation of each element."""
        return self.gamma * self.inner.std

    def correlation(self, i: int, j: int) -> float:
        """The correlation of frames i and j at the same place."""
        return self.inner.correlation(i, j)

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape."""
        return self.gamma * self.inner(shape, draw)


def _check_alpha(self: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 <= value < math.inf:
        raise InputError(f"alpha {value!r}: expected a finite number, 0 (independent frames) or more")


@attrs.frozen
class MixedNoise:
    """PYoCo's mixed noise (Ge et al. 2023, arXiv 2305.10474, equation 3): a shared part beside an own one.

    z^f = z_shared + z_own^f with variances alpha^2 / (1 + alpha^2) and 1 / (1 + alpha^2): ``SharedNoise`` by another
    measure. Their video models are trained with it, initial noise included.
    """

    alpha: float = attrs.field(validator=_check_alpha)

    @property
    def std(self) -> float:
        """The deviation of each element."""
        return 1.0

    def correlation(self, i: int, j: int) -> float:
        """The correlation of frames i and j at the same place."""
        return 1.0 if i == j else self.alpha**2 / (1.0 + self.alpha**2)

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape."""
        return SharedNoise(self.correlation(0, 1))(shape, draw)


@attrs.frozen
class ProgressiveNoise:
    """PYoCo's progressive noise (arXiv 2305.10474, equation 4): each frame's noise goes on from the last one's.

    z^f = alpha / sqrt(1 + alpha^2) z^(f-1) + z_own^f, z_own of variance 1 / (1 + alpha^2): frames i and j correlate by
    (alpha / sqrt(1 + alpha^2))^|i - j|.
    """

    alpha: float = attrs.field(validator=_check_alpha)

    @property
    def std(self) -> float:
        """The deviation of each element."""
        return 1.0

    def correlation(self, i: int, j: int) -> float:
        """The correlation of frames i and j at the same place."""
        return float((self.alpha / math.sqrt(1.0 + self.alpha**2)) ** abs(i - j))

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape."""
        own = draw("independent", shape)
        keep = self.alpha / math.sqrt(1.0 + self.alpha**2)
        fresh = 1.0 / math.sqrt(1.0 + self.alpha**2)
        frames = [own[:, :, 0]]
        for frame in own.unbind(2)[1:]:
            frames.append(keep * frames[-1] + fresh * frame)
        return torch.stack(frames, dim=2)


@attrs.frozen
class OffsetNoise:
    """The noise of ``inner`` plus a number for each clip and channel: noise offset, as the paper trains with.

    The added draws have deviation ``strength`` and are the same at every pixel, and in every frame unless ``frames`` is
    "own". https://www.crosslabs.org/blog/diffusion-with-offset-noise. The sum's deviation grows with it.
    """

    strength: float = attrs.field(default=0.1)
    inner: DeclaredNoise = attrs.field(factory=IndependentNoise)
    frames: Literal["shared", "own"] = "shared"

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.strength < math.inf:
            raise InputError(f"strength {self.strength!r}: expected a finite number, 0 or more")
        if self.frames not in ("shared", "own"):
            raise InputError(
                f"frames {self.frames!r}: expected 'shared' (one offset a clip) or 'own' (one a frame)"
            )

    @property
    def std(self) -> float:
        """The deviation of each element."""
        return math.hypot(self.inner.std, self.strength)

    def correlation(self, i: int, j: int) -> float:
        """The correlation of frames i and j at the same place."""
        offset = float(i == j or self.frames == "shared") * self.strength**2
        return (self.inner.correlation(i, j) * self.inner.std**2 + offset) / self.std**2

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape."""
        b, c, f, _, _ = shape
        z = self.inner(shape, draw)
        if self.strength == 0.0:
            return z
        return z + self.strength * draw("offset", (b, c, f if self.frames == "own" else 1, 1, 1))
