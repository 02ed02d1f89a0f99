"""Attributes of an object that are others for the time of a block, and always put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["replaced"]

_ABSENT = object()


@contextmanager
def replaced(target: Any, **values: Any) -> Iterator[None]:
    """Give ``target`` these instance attributes within the block, whatever ends it.

    They are set in its ``__dict__``: a pipeline would write its configuration anew, a module would register them.
    """
    own = target.__dict__
    before = {name: own.get(name, _ABSENT) for name in values}
    try:
        own.update(values)
        yield
    finally:
        for name, value in before.items():
            if value is _ABSENT:
                own.pop(name, None)
            else:
                own[name] = value
