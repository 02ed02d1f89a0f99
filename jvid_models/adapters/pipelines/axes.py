"""Positions in one tensor as a view of another: a reshape and a permutation of axes, found in a table of indices.

    index[i_1, ..., i_n] = offset + sum_a g_a(i_a),     g_a(i) = sum_k digit_k(i) stride_k

Each axis is split into factors with a stride of their own, as packing two by two, tokens and rows of frames do. A view costs one
copy; a gather by the indices themselves costs many times that. Factors that lie one within the other are one again: where two are
left, as in tokens of channels, torch copies a transposed matrix by blocks, some times faster than axis by axis.
"""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

__all__ = ["Strides", "strides_of"]

_BLOCK = 60 * 60
# Smaller matrices torch does not copy by blocks.

Factor = tuple[int, int]
"""(size, stride)."""


@attrs.frozen
class Strides:
    """A view of a contiguous tensor: ``shape`` of the view, its factors' sizes and strides, and where it begins."""

    shape: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    def gather(self, values: Tensor) -> Tensor:
        """Values of the other tensor, of any shape -> ``shape``, contiguous: arithmetic with latents that are not costs more."""
        return _in_order(self._view(values.contiguous())).view(self.shape)

    def scatter(self, values: Tensor, into: Tensor) -> None:
        """Write values of ``shape`` into a contiguous tensor, in its dtype and device."""
        self._view(into).copy_(values.reshape(self.sizes))

    def _view(self, values: Tensor) -> Tensor:
        return values.as_strided(self.sizes, self.strides, values.storage_offset() + self.offset)


def strides_of(index: Tensor) -> Strides | None:
    """The view that has ``index`` (int64, any shape) as its positions; None where no reshape and permutation does."""
    origin = int(index[(0,) * index.ndim])
    factors: list[list[Factor]] = []
    for axis in range(index.ndim):
        line = index.movedim(axis, 0).flatten(1)[:, 0] - origin
        found = _factors(line)
        if found is None:
            return None
        factors.append(found)
    flat = _joined([factor for each in factors for factor in each])
    strides = Strides(
        tuple(index.shape), tuple(size for size, _ in flat), tuple(stride for _, stride in flat), origin
    )
    expected = torch.full(index.shape, origin, dtype=torch.int64)
    for axis, each in enumerate(factors):
        shape = [1] * index.ndim
        shape[axis] = index.shape[axis]
        expected += _line(each).reshape(shape)
    return strides if bool((expected == index).all()) else None


def _factors(line: Tensor) -> list[Factor] | None:
    """One axis as factors, outermost first."""
    if len(line) == 1:
        return [(1, 0)]
    step = int(line[1])
    straight = line == torch.arange(len(line)) * step
    run = len(line) if bool(straight.all()) else int(straight.int().argmin())
    if run == len(line):
        return [(run, step)]
    if len(line) % run:
        return None
    outer = _factors(line[::run])
    return None if outer is None else [*outer, (run, step)]


def _joined(factors: list[Factor]) -> list[Factor]:
    """The same positions in as few factors as they can have, of the same order."""
    found: list[Factor] = []
    for size, stride in factors:
        if size == 1:
            continue
        if found and found[-1][1] == size * stride:
            found[-1] = found[-1][0] * size, stride
        else:
            found.append((size, stride))
    return found or [(1, 0)]


def _in_order(view: Tensor) -> Tensor:
    """A contiguous tensor of the values of a view; transposed matrices in rows are copied one by one."""
    transposed = view.ndim == 3 and view.stride(1) == 1 and view.stride(2) == view.shape[1]
    if transposed and view[0].numel() >= _BLOCK:
        return torch.stack([row.contiguous() for row in view])
    return view.contiguous()


def _line(factors: list[Factor]) -> Tensor:
    """The sum of digits times strides along one axis."""
    count = math.prod(size for size, _ in factors)
    left, line = torch.arange(count), torch.zeros(count, dtype=torch.int64)
    for size, stride in reversed(factors):
        line += (left % size) * stride
        left = left // size
    return line
