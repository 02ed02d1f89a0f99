"""A value that is made once, at its first use, such as a network or an encoder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

__all__ = ["Deferred", "made"]

T = TypeVar("T")


class Deferred(Generic[T]):
    """``make()`` at the first call, and the same value at each further one. Thread-safe.

    Two members of an ensemble that hold one ``Deferred`` share what it makes.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], T] | None = make
        self._value: T | None = None
        self._lock = threading.Lock()

    def __call__(self) -> T:
        with self._lock:
            if self._make is not None:
                self._value = self._make()
                self._make = None
            return cast(T, self._value)

    @property
    def is_made(self) -> bool:
        """Whether the value is there already."""
        return self._make is None

    def __repr__(self) -> str:
        return "Deferred(not made yet)" if self._make is not None else f"Deferred({self._value!r})"


def made(value: T | Deferred[T]) -> T:
    """The value; a deferred one is made now."""
    return value() if isinstance(value, Deferred) else value
