"""One use of a pipeline at a time, from whichever thread: its scheduler and some of its methods are others meanwhile."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from jvid_models.adapters.pipelines.placement import DECODERS

__all__ = ["in_turn"]

P = ParamSpec("P")
R = TypeVar("R")

_locks: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_guard = threading.Lock()


def in_turn(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method of an object with a ``pipe`` that waits while another thread uses this pipeline, or one of the same parts."""

    def waiting(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with _lock_of(self.pipe):
            return method(self, *args, **kwargs)

    functools.update_wrapper(waiting, method)
    return waiting


def _lock_of(pipe: Any) -> Any:
    # Pipelines of the same parts, such as Wan's two experts, have their autoencoder in common.
    shared = next((found for name in DECODERS if (found := getattr(pipe, name, None)) is not None), pipe)
    with _guard:
        return _locks.setdefault(shared, threading.RLock())
