"""Checks that an object has the methods of its kind, without calling them.

A component is checked by the methods of its protocol and by how many arguments they take. That is
cheap and finds what would be an error later, in the middle of a run: a solver without ``step``, the class in
place of its object, a selector that takes no random number. What it does with the arguments is for the conformance
kit (``jvid.testing``). An ensemble is only required to be there: looking at its attributes may load its networks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jvid.core.metrics import FeatureNetwork, Metric
from jvid.core.protocols import (
    Codec,
    Denoiser,
    LatentPostprocessor,
    NoiseSampler,
    NoiseSchedule,
    Selector,
    Solver,
    TextEncoder,
)

__all__ = ["PROTOCOLS", "missing_members"]

PROTOCOLS: Mapping[str, type] = {
    "denoiser": Denoiser,
    "wrapper": Denoiser,
    "selector": Selector,
    "solver": Solver,
    "schedule": NoiseSchedule,
    "noise": NoiseSampler,
    "postprocessor": LatentPostprocessor,
    "codec": Codec,
    "text": TextEncoder,
    "features": FeatureNetwork,
    "metric": Metric,
}
"""What the components of a kind are; a grid is a function of a schedule."""

_CALL = "__call__"


def _members(protocol: type) -> Mapping[str, tuple[str, ...] | None]:
    """Each method of a protocol with its arguments; an attribute has None."""
    return {
        name: tuple(inspect.signature(member).parameters)[1:] if inspect.isfunction(member) else None
        for name, member in vars(protocol).items()
        if name == _CALL or not name.startswith("_")
    }


_NEEDS: Mapping[str, Mapping[str, tuple[str, ...] | None]] = {
    **{kind: _members(protocol) for kind, protocol in PROTOCOLS.items()},
    "grid": {_CALL: ("schedule",)},
    "ensemble": {},
}


def missing_members(kind: str, made: object) -> str | None:
    """The members that ``made`` lacks to be of ``kind``, as text; None where none is missing."""
    if kind not in _NEEDS:
        return None
    if made is None:
        return "made None; expected it to return the component"
    if isinstance(made, type):
        return f"made the class {made.__name__}; expected an object of it: call it"
    for name, arguments in _NEEDS[kind].items():
        if not _has(made, name):
            what = "cannot be called" if name == _CALL else f"has no {name!r}"
            return f"made a value of type {type(made).__name__} that {what}; expected {_wanted(kind)}"
        if arguments is None:
            continue
        method = made if name == _CALL else getattr(made, name)
        if not callable(method) or not _takes(method, len(arguments)):
            shown = "" if name == _CALL else f".{name}"
            return (
                f"made a value of type {type(made).__name__} that cannot be called as {shown}({', '.join(arguments)}); "
                f"expected {_wanted(kind)}"
            )
    return None


def _has(made: object, name: str) -> bool:
    """Whether the attribute is there; a property is not evaluated for it."""
    if name == _CALL:
        return callable(made)
    try:
        inspect.getattr_static(made, name)
    except AttributeError:
        return hasattr(made, name)  # of a __getattr__, as torch's modules have
    return True


def _takes(method: Callable[..., Any], count: int) -> bool:
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # a builtin without one
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _wanted(kind: str) -> str:
    """The protocol in a few words: ``order, init(), step(x, ...)``."""
    shown = []
    for name, arguments in _NEEDS[kind].items():
        call = "" if arguments is None else f"({', '.join(arguments)})"
        shown.append(f"a call {call}" if name == _CALL else f"{name}{call}")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
