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
from jvid.errors import InputError

__all__ = ["PROTOCOLS", "check_members", "missing_members"]

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


def check_members(kind: str, value: object, who: str) -> None:
    """Refuse a value that is no component of its kind, such as its name or its class.

    Raises:
        InputError: it names ``who``, and what is missing.
    """
    wrong = missing_members(kind, value)
    if wrong and isinstance(value, str):
        name, options, _ = value.partition(":")
        load = f"jvid.load({kind!r}, {name!r}{', ...' if options else ''})"
        raise InputError(f"{who} is the text {value!r}: expected a component, such as {load}")
    if wrong:
        raise InputError(f"{who} is {wrong}")


def missing_members(kind: str, value: object) -> str | None:
    """What ``value`` is, and the members that it lacks to be of ``kind``; None where none is missing."""
    if kind not in _NEEDS:
        return None
    if value is None:
        return f"None; expected {_wanted(kind) or 'the component'}"
    if isinstance(value, type):
        return f"the class {value.__name__}; expected an object of it: call it"
    got = f"a value of type {type(value).__name__}"
    for name, arguments in _NEEDS[kind].items():
        if not _has(value, name):
            what = "cannot be called" if name == _CALL else f"has no {name!r}"
            return f"{got} that {what}; expected {_wanted(kind)}"
        if arguments is None:
            continue
        method = value if name == _CALL else getattr(value, name)
        if not callable(method) or not _takes(method, len(arguments)):
            shown = "" if name == _CALL else f".{name}"
            return f"{got} that cannot be called as {shown}({', '.join(arguments)}); expected {_wanted(kind)}"
    return None


def _has(value: object, name: str) -> bool:
    """Whether the attribute is there; a property is not evaluated for it."""
    if name == _CALL:
        return callable(value)
    try:
        inspect.getattr_static(value, name)
    except AttributeError:
        return hasattr(value, name)  # of a __getattr__, as torch's modules have
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
