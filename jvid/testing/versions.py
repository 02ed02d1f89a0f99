"""A subject with other options, and the reference that goes with them.

Options are drawn from ``ranges``: for each name lowest and highest value as ``(low, high)``, or a list of values. ``factory``
builds the subject with them; of an attrs class or a dataclass it is not needed. Options that the factory refuses with an
``InputError`` or a ``ValueError`` are left out. A reference is called with the same options, by keyword.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.extras import extra

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["applied", "drawn_options", "ends_of", "positional", "with_options"]


def positional(function: Callable[..., Any]) -> int:
    """How many arguments a function needs by position; those with a default are options.

    Raises:
        InputError: it has no signature.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise InputError(f"reference {function!r}: expected a function with a signature") from None
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        return len(parameters) + 100
    return sum(each.kind in plain and each.default is inspect.Parameter.empty for each in parameters)


def applied(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A reference that takes the arguments by position: as many as it needs, the last ones may be left out of its signature."""
    count = functools.cache(positional)  # a signature costs more than most references
    return lambda *arguments: reference(*arguments[: count(reference)])


def drawn_options(ranges: Mapping[str, Any]) -> SearchStrategy[dict[str, Any]]:
    """Options of the ranges, all of them; and none at all, which is the subject as it is."""
    with extra("testing"):
        from hypothesis import strategies as st

    if not ranges:
        return st.just({})
    return st.just({}) | st.fixed_dictionaries({name: _values(name, each) for name, each in ranges.items()})


def ends_of(ranges: Mapping[str, Any], most: int = 8) -> list[dict[str, Any]]:
    """Options at the ends and in the middle of their ranges: each by itself, and all at once."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    middle: dict[str, Any] = {}
    for name, given in ranges.items():
        _values(name, given)  # a wrong range is one line
        if isinstance(given, list):
            low[name], middle[name], high[name] = given[0], given[len(given) // 2], given[-1]
        else:
            low[name], high[name] = given
            middle[name] = low[name] + (high[name] - low[name]) * 3 // 7 if type(low[name]) is int else round(
                low[name] + 0.43 * (high[name] - low[name]), 3
            )  # fmt: skip
    alone = [{name: end[name]} for name in ranges for end in (low, high)]
    return [middle, low, high, *(alone if len(ranges) > 1 else [])][:most]


def _values(name: str, given: Any) -> SearchStrategy[Any]:
    with extra("testing"):
        from hypothesis import strategies as st

    if isinstance(given, tuple) and len(given) == 2 and all(type(each) in (int, float) for each in given):
        low, high = given
        if low <= high and all(type(each) is int for each in given):
            return st.sampled_from([low, high]) | st.integers(low, high)
        if low <= high:
            inner = st.floats(low, high).map(lambda value: min(max(round(value, 3), low), high))
            return st.sampled_from([(low + high) / 2.0, low, high]) | inner
    elif isinstance(given, list) and given:
        return st.sampled_from(given)
    raise InputError(f"ranges[{name!r}] = {given!r}: expected (low, high) or a list of values")


def with_options(
    subject: Any, factory: Callable[..., Any] | None, options: Mapping[str, Any], around: Any = None
) -> Any:
    """The subject built with options; itself without any.

    Args:
        subject: a component, or the factory of a wrapper.
        factory: builds it with options, by keyword.
        options: by name.
        around: a denoiser that a wrapper is made around once, as most refuse their options only then; None for other kinds.

    Raises:
        InputError: no factory, and no class whose fields could be replaced.
        UnsatisfiedAssumption: the factory refuses the options, to hypothesis a reason to draw others.
    """
    if not options:
        return subject
    with extra("testing"):
        from hypothesis.errors import UnsatisfiedAssumption

    build = _rebuilding(subject) if factory is None else factory
    if build is None:
        raise InputError(
            f"options {', '.join(options)} of a {type(subject).__name__}: expected a factory, conforms(..., factory=...)"
        )
    try:
        made = build(**options)
        if around is not None:
            made(around)
    except (InputError, ValueError) as error:
        raise UnsatisfiedAssumption(f"options {dict(options)} are refused") from error
    return made


def _rebuilding(subject: Any) -> Callable[..., Any] | None:
    """What makes a subject anew with other options; None where nothing is known that would."""
    if attrs.has(type(subject)):
        return functools.partial(attrs.evolve, subject)
    if dataclasses.is_dataclass(subject) and not isinstance(subject, type):
        return functools.partial(dataclasses.replace, subject)
    if isinstance(subject, (type, functools.partial)) or inspect.isroutine(subject):
        return functools.partial(functools.partial, subject)  # of a wrapper, the subject is the factory
    return None
