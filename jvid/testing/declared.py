"""Sizes, dtypes and devices as a caller declares them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError, one_line

if TYPE_CHECKING:
    import torch

__all__ = ["device_of", "dtypes_of", "own_sizes_of", "sizes_of"]


def sizes_of(given: int | Collection[int]) -> tuple[int, ...]:
    """A size or several, in order.

    Raises:
        InputError: none, or one below 1.
    """
    values = (given,) if isinstance(given, int) else tuple(sorted(given))
    if not values or values[0] < 1:
        raise InputError(f"sizes {given!r}: expected whole numbers, at least 1")
    return values


def own_sizes_of(given: int | Collection[int]) -> tuple[int, ...]:
    """The same, or none at all."""
    return () if given == () else sizes_of(given)


def dtypes_of(given: Any) -> tuple[torch.dtype, ...]:
    """Floating dtypes, by themselves or by name.

    Raises:
        InputError: anything else.
    """
    import torch

    names = (given,) if isinstance(given, (str, torch.dtype)) else tuple(given)
    found = [getattr(torch, name, None) if isinstance(name, str) else name for name in names]
    dtypes = tuple(dtype for dtype in found if isinstance(dtype, torch.dtype) and dtype.is_floating_point)
    if not dtypes or len(dtypes) < len(found):
        raise InputError(f"dtype {given!r}: expected floating dtypes, such as 'float32'")
    return dtypes


def device_of(given: Any) -> torch.device:
    """A device, by itself or by name; the CPU if None.

    Raises:
        InputError: there is no such device.
    """
    import torch

    try:
        device = torch.device("cpu" if given is None else given)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device {given!r}: {one_line(error, first=True)}") from None
    return device
