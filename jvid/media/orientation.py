"""How a decoded picture is turned, mirrored and stretched to be shown as its file states.

    display matrix  (a b u; c d v; x y w)     a pixel (p, q), p to the right and q down, is shown at (a p + c q, b p + d q)
    aspect          width / height of a pixel: the picture is shown that much wider

Of the eight turns and mirrorings each is a transposition or not, then a flip along each axis or not. A matrix between two of
them, which no camera writes, is taken as the nearest.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import attrs

__all__ = ["Orientation", "shown_width"]


@attrs.frozen
class Orientation:
    """One of the eight ways to turn and mirror a picture: transposed first, then flipped.

    Args:
        transposed: rows become columns.
        across: then flipped left to right.
        down: then flipped upside down.
    """

    transposed: bool = False
    across: bool = False
    down: bool = False

    @classmethod
    def of_matrix(cls, data: bytes) -> Orientation:
        """Of a display matrix: nine 32-bit integers of the machine's byte order, as FFmpeg has it."""
        if len(data) != 36:
            return cls()
        a, b, _, c, d, *_ = struct.unpack("=9i", data)
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def applied(self, pixels: Any) -> Any:
        """A picture ``(H W ...)`` as it is shown, ``(W H ...)`` where it is transposed."""
        if self.transposed:
            pixels = pixels.swapaxes(0, 1)
        if self.across:
            pixels = pixels[:, ::-1]
        return pixels[::-1] if self.down else pixels


def shown_width(width: int, aspect: Fraction | None) -> int:
    """The width in square pixels of a picture whose pixels have this aspect; 0, None and absurd ones are none."""
    if not aspect or not Fraction(1, 16) <= aspect <= 16:
        return width
    return max(1, round(width * aspect))
