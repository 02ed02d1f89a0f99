"""Numbered values: fields of positions that survive an affine map, read back as indices.

    position = sum_k digit_k base^k,     seen_k = scale digit_k + shift     =>     digit_k = (seen_k - shift) / scale

Two constant fields, 0 and 1, give the scale and the shift of each element; an element whose scale is 0 does not depend on the
field. The base is small where a half precision carries the values.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["base_for", "digits", "numbered", "positions"]


def base_for(dtypes: list[torch.dtype]) -> int:
    """A base whose digits each of these dtypes holds, with room for the rounding of an affine map."""
    return 32 if any(torch.finfo(dtype).eps > 1e-5 for dtype in dtypes) else 1024


def digits(count: int, base: int) -> int:
    """How many digits number ``count`` positions."""
    return max(1, math.ceil(math.log(max(count, 2)) / math.log(base) - 1e-9))


def numbered(shape: tuple[int, ...], digit: int, base: int) -> Tensor:
    """The field of a digit of each position in a tensor of ``shape``, float32."""
    return (torch.arange(math.prod(shape)) // base**digit % base).float().reshape(shape)


def positions(shift: Tensor, scale: Tensor, seen: list[Tensor], base: int) -> tuple[Tensor, Tensor] | None:
    """What was seen of each digit -> positions (int64) and which elements depend on the field.

    None where a digit is no whole number: then the map is not affine in single values.
    """
    shift, scale = shift.double(), scale.double()
    depends = scale.abs() > 1e-6
    index = torch.zeros(shift.shape, dtype=torch.int64)
    for power, each in enumerate(seen):
        value = torch.where(depends, (each.double() - shift) / torch.where(depends, scale, 1.0), 0.0)
        nearest = value.round()
        if bool(((value - nearest).abs() > 0.3).any()) or bool(((nearest < 0) | (nearest >= base)).any()):
            return None
        index += nearest.long() * base**power
    return index, depends
