"""The precision of networks by its name, as users and files state it."""

from __future__ import annotations

from typing import Any

import torch

from jvid.errors import InputError

__all__ = ["precision"]


def precision(name: Any) -> torch.dtype:
    """The torch dtype of a name such as "bfloat16"; a dtype is itself.

    Raises:
        InputError: what is no dtype of floating point.
    """
    found = getattr(torch, name, None) if isinstance(name, str) else name
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InputError(f"dtype {name!r}: expected one such as float32, bfloat16 or float16")
    return found
