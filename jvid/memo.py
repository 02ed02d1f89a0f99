"""What was made of a condition, kept for the last few conditions.

A condition is found again by the identity of its tensors, which are held: an address alone may belong to the next
tensor. An edit in place is noticed by torch's version counter. Thread-safe, because entries are replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from torch import Tensor

from jvid.conditions import PerFrame

__all__ = ["Memo", "version"]

T = TypeVar("T")
Mark = tuple[str, Any, int]


def version(tensor: Tensor) -> int:
    """torch's count of the edits of a tensor in place."""
    # Tensors made in inference mode count no versions, and cannot be edited outside of it.
    return -1 if tensor.is_inference() else int(tensor._version)


def _marks(name: str, value: Any) -> tuple[Mark, ...]:
    if isinstance(value, PerFrame):
        return (("per frame " + name, value.tensor, version(value.tensor)),)
    if isinstance(value, Tensor):
        return ((name, value, version(value)),)
    if isinstance(value, Mapping):
        return tuple(mark for key, inner in value.items() for mark in _marks(f"{name}.{key}", inner))
    return ((name, value, 0),)


def _same(one: tuple[Mark, ...], other: tuple[Mark, ...]) -> bool:
    return len(one) == len(other) and all(
        a[0] == b[0] and a[1] is b[1] and a[2] == b[2] for a, b in zip(one, other, strict=True)
    )


class Memo(Generic[T]):
    """The last ``size`` results, by what they were made of."""

    def __init__(self, size: int = 4) -> None:
        self.size = size
        self._entries: tuple[tuple[tuple[Mark, ...], T], ...] = ()

    def __call__(self, of: Mapping[str, Any], make: Callable[[], T]) -> T:
        """What ``make`` gave for these very values before, or gives now."""
        marks = _marks("", of)
        entries = self._entries
        for entry in entries:
            if _same(entry[0], marks):
                if entry is not entries[0]:
                    self._entries = (entry, *(other for other in entries if other is not entry))[: self.size]
                return entry[1]
        made = make()
        self._entries = ((marks, made), *entries)[: self.size]
        return made

    def clear(self) -> None:
        """Let go of everything."""
        self._entries = ()

    def __deepcopy__(self, memo: Any) -> Memo[T]:
        return Memo(self.size)

    def __reduce__(self) -> tuple[type[Memo[T]], tuple[int]]:
        return Memo, (self.size,)
