"""Weights compared by their bits: an edit is noticed whatever way it was made.

torch counts edits of a tensor in place, but not those through ``.data``, as fusing a LoRA makes them. A copy of the weights is
compared instead; it is read once, and so are they. On a GPU the comparison would wait for the device: there nothing
is comparable, and what would be kept is computed anew.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["Contents", "comparable"]


def comparable(*tensors: Tensor) -> bool:
    """Whether the tensors' bits can be read without waiting for a device."""
    return all(tensor.device.type == "cpu" and tensor.layout is torch.strided for tensor in tensors)


def _bits(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """The tensor's memory as whole numbers, wide ones where they fit: fewer are faster to compare."""
    raw = tensor.detach().contiguous().flatten().view(torch.uint8).numpy()
    return raw.view(np.int64) if raw.size % 8 == 0 else raw


class Contents:
    """The values of ``tensors`` as they are now."""

    def __init__(self, *tensors: Tensor) -> None:
        self._copies = tuple(tensor.detach().clone() for tensor in tensors)

    def are(self, *tensors: Tensor) -> bool:
        """Whether ``tensors`` have these values: shapes, dtypes and every bit."""
        return len(tensors) == len(self._copies) and all(
            one.shape == other.shape and one.dtype == other.dtype and np.array_equal(_bits(one), _bits(other))
            for one, other in zip(self._copies, tensors, strict=True)
        )
