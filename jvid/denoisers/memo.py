"""Values made of a condition, kept for the last few conditions and no longer than they live.

A condition is found again by the identity of its tensors, which are known by weak references: an address alone may belong to
the next tensor. When one of them is gone, so is what was made of it: nothing outlives the run whose condition it was. The scope
of a run (`jvid.core.scope`) is known in the same way. An edit in place is noticed by its version counter. Entries are replaced
as a whole, which makes it thread-safe.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from torch import Tensor

from jvid.core.conditions import PerFrame
from jvid.core.scope import RunScope
from jvid.machine.versions import version

__all__ = ["Memo"]

T = TypeVar("T")
Mark = tuple[str, Any, int]


def _marks(name: str, value: Any) -> tuple[Mark, ...]:
    if isinstance(value, PerFrame):
        return (("per frame " + name, value.tensor, version(value.tensor)),)
    if isinstance(value, Tensor):
        return ((name, value, version(value)),)
    if isinstance(value, Mapping):
        return tuple(mark for key, inner in value.items() for mark in _marks(f"{name}.{key}", inner))
    return ((name, value, 0),)


def _same(kept: tuple[Mark, ...], marks: tuple[Mark, ...]) -> bool:
    return len(kept) == len(marks) and all(
        a[0] == b[0] and a[2] == b[2] and _is(a[1], b[1]) for a, b in zip(kept, marks, strict=True)
    )


def _is(kept: Any, value: Any) -> bool:
    if isinstance(kept, weakref.ref):
        return kept() is value
    return kept is value or (type(kept) is type(value) and isinstance(kept, int | str) and kept == value)


class Memo(Generic[T]):
    """The last ``size`` results, by what they were made of.

    A result that holds a tensor that it was made of keeps that alive, until newer results take its place.
    """

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
        kept = tuple((name, self._weak(value), count) for name, value, count in marks)
        self._entries = ((kept, made), *self._entries)[: self.size]
        return made

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Let go of everything."""
        self._entries = ()

    def _weak(self, value: Any) -> Any:
        """A tensor or a scope as a reference that takes the entry with it; other values as they are."""
        if not isinstance(value, Tensor | RunScope):
            return value
        own = weakref.ref(self)

        def gone(reference: object) -> None:
            if (memo := own()) is not None:
                memo._entries = tuple(
                    entry for entry in memo._entries if all(mark[1] is not reference for mark in entry[0])
                )

        return weakref.ref(value, gone)

    def __deepcopy__(self, memo: Any) -> Memo[T]:
        return Memo(self.size)

    def __reduce__(self) -> tuple[type[Memo[T]], tuple[int]]:
        return Memo, (self.size,)
