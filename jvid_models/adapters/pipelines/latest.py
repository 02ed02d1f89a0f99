"""Values that take long to make, the last ones kept: what encoders gave for prompts, while a network is trained."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Latest"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Latest(Generic[K, V]):
    """The values of the keys that were used last; ``most``: how many are kept."""

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()

    def of(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made where it is not among the last."""
        found = self._kept.pop(key) if key in self._kept else make()
        self._kept[key] = found  # the latest is the last
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found

    def forget(self) -> None:
        """Forget all values."""
        self._kept.clear()
