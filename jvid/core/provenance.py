"""A note on an error raised in the middle of a run, which names the component that raised it.

    ValueError: 3 is no channel
    raised by expert 'video' at step 3 of 50, t 0.941 (alpha 0.08, sigma 0.99): Guided > Cartoon of jvid-cartoon 0.1

The chain is from the outermost wrapper inwards; the distributions are those of its classes, jvid's own only if
there is no other. All of it is looked up on failure alone.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs

__all__ = ["annotate", "annotation", "origin", "parts"]

_RAISED = "raised by "
_DEEPEST = 8


def annotate(error: BaseException, who: str, component: object) -> None:
    """Add a note to an error that names the component; the first note is nearest to the cause, and stays alone."""
    if not annotation(error):
        error.add_note(f"{_RAISED}{who}: {origin(component)}")


def annotation(error: BaseException) -> str:
    """The note of ``annotate``, empty without one."""
    return next((note for note in getattr(error, "__notes__", ()) if note.startswith(_RAISED)), "")


def parts(component: object) -> tuple[tuple[str, Any], ...]:
    """The fields of a value class, attrs' or a dataclass; those that it is not compared by are left out."""
    kind = type(component)
    if attrs.has(kind):
        names = [field.name for field in attrs.fields(kind) if field.init and field.eq]
    elif dataclasses.is_dataclass(component):
        names = [one.name for one in dataclasses.fields(component) if one.init and one.compare]
    else:
        names = []
    return tuple((name, getattr(component, name)) for name in names)


def origin(component: object) -> str:
    """``Guided > Cartoon of jvid-cartoon 0.1``: the classes inwards, and the distributions they come from."""
    chain = list(_inwards(component))
    names = dict.fromkeys(_name(part) for part in chain)
    modules = dict.fromkeys(_module(part) for part in chain)
    roots = dict.fromkeys(module.partition(".")[0] for module in modules)
    foreign = [root for root in roots if root not in ("jvid", "builtins", "functools")] or ["jvid"]
    return f"{' > '.join(names)} of {', '.join(map(_distribution, foreign))}"


def _inwards(component: object, depth: int = 0) -> Iterator[object]:
    """The component, and the callables among its fields: what a wrapper wraps, a network."""
    yield component
    if depth < _DEEPEST:
        for name, part in parts(component):
            if callable(part) and not isinstance(part, type) and name != "schedule":
                yield from _inwards(part, depth + 1)


def _name(part: object) -> str:
    return getattr(part, "__qualname__", type(part).__qualname__).replace("<locals>.", "")


def _module(part: object) -> str:
    return getattr(part, "__module__", None) or type(part).__module__


def _distribution(root: str) -> str:
    """Name and version of what installs the top-level package ``root``; the package itself where that is not known."""
    return _found(root, tuple(map(_stamped, sys.path)))


# Kept for the folders of the search path as they are: a look reads the records of all that is installed there.
@lru_cache(maxsize=64)
def _found(root: str, paths: tuple[tuple[str, float], ...]) -> str:
    try:
        found = list(_distributions(paths).get(root, ()))
        if not found:  # an editable install does not list its files
            found = [
                point.dist.name
                for point in importlib.metadata.entry_points(group="jvid")
                if point.dist is not None and point.module.partition(".")[0] == root
            ]
        names = dict.fromkeys(found)
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names) or f"module {root}"
    except Exception:  # whatever is broken there, the error that is reported matters more
        return f"module {root}"


@lru_cache(maxsize=4)
def _distributions(paths: tuple[tuple[str, float], ...]) -> Mapping[str, list[str]]:
    """Distributions by top-level package."""
    return importlib.metadata.packages_distributions()


def _stamped(path: str) -> tuple[str, float]:
    """A folder of the search path and when something was last installed in it."""
    try:
        return path, os.stat(path or ".").st_mtime
    except OSError:
        return path, 0.0
