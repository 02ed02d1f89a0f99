"""One use of a pipeline at a time, from whichever thread: its scheduler and some of its methods are others meanwhile."""

from __future__ import annotations

import functools
import itertools
import operator
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

__all__ = ["in_turn"]

P = ParamSpec("P")
R = TypeVar("R")

_locks: WeakKeyDictionary[Any, tuple[int, Any]] = WeakKeyDictionary()
_numbers = itertools.count()
_guard = threading.Lock()


def in_turn(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method of an object with a ``pipe`` that waits while another thread uses this pipeline, or one that shares a part."""

    def waiting(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with ExitStack() as stack:
            for lock in _locks_of(self.pipe):
                stack.enter_context(lock)
            return method(self, *args, **kwargs)

    functools.update_wrapper(waiting, method)
    return waiting


def _locks_of(pipe: Any) -> list[Any]:
    """A lock of each part that pipelines may share, always in the same order, so that no two threads wait for each other."""
    parts = {id(part): part for part in vars(pipe).values() if _may_be_shared(part)}.values()
    with _guard:
        found = [_locks.get(part) or _locks.setdefault(part, _numbered()) for part in parts or [pipe]]
    return [lock for _, lock in sorted(found, key=operator.itemgetter(0))]


def _numbered() -> tuple[int, Any]:
    return next(_numbers), threading.RLock()


def _may_be_shared(part: Any) -> bool:
    return isinstance(part, nn.Module) or type(part).__module__.startswith("transformers.")
