"""Edits of tensors in place, as torch counts them."""

from __future__ import annotations

from torch import Tensor

__all__ = ["version"]


def version(tensor: Tensor) -> int:
    """torch's count of the edits of a tensor in place."""
    # Tensors made in inference mode count no versions, and cannot be edited outside of it.
    return -1 if tensor.is_inference() else int(tensor._version)
