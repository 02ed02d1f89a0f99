"""The tables of a space as axes by path; every name is looked up, and an unknown one refused in a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jvid.errors import InputError
from jvid_training.search.axes import Axis, Options, axis_of, is_range
from jvid_training.search.families import known_options

__all__ = ["COMPONENTS", "GUIDANCE", "KEYS", "NOISE", "flattened"]

COMPONENTS = {
    "selector": ("selector", "selector"),
    "solver": ("solver", "solver"),
    "grid": ("grid", "grid"),
    "smoothing": ("postprocessors", "postprocessor"),
}
"""Parts of a strategy that are components, with their field and their kind in the registry."""
KEYS = (*COMPONENTS, "steps", "guidance", "noise", "wrappers")
GUIDANCE = ("scale", "low", "high", "rescale", "against")
NOISE = ("gamma", "ratio")


def flattened(document: Mapping[str, Any], experts: Sequence[str]) -> Iterator[tuple[str, Axis]]:
    """Axes by path, of a recipe's tables.

    Raises:
        InputError: a name that is not known, or a value of another form.
    """
    for key, value in document.items():
        if key not in KEYS:
            raise InputError(f"{key}: unknown parameter, expected one of {', '.join(KEYS)}")
        if key in COMPONENTS:
            yield from _components(key, value)
        elif key == "wrappers":
            yield from _by_expert(key, value, (), experts)
        elif key == "noise":
            yield from _by_expert(key, value, NOISE, experts)
        elif key == "guidance" and isinstance(value, Mapping) and not is_range(value):
            yield from _by_expert(key, value, GUIDANCE, experts)
        else:
            yield key, axis_of(key, value)


def _components(part: str, value: Any) -> Iterator[tuple[str, Axis]]:
    tables = value if isinstance(value, Mapping) else {name: {} for name in axis_of(part, value).ends()}
    if not tables:
        raise InputError(f"{part}: no component, expected a table for each")
    for name, options in tables.items():
        known = known_options(part, COMPONENTS[part][1], name)
        if not isinstance(options, Mapping):
            raise InputError(f"{part}.{name}: got {options!r}, expected a table of its options")
        for option, described in options.items():
            path = f"{part}.{name}.{option}"
            if option not in known:
                raise InputError(f"{path}: unknown parameter, expected {'one of ' if known else ''}"
                                 f"{', '.join(known) or 'none: it has no options'}")  # fmt: skip
            yield path, axis_of(path, described)
    yield part, Options(tuple(tables))


def _by_expert(
    key: str, value: Any, fields: tuple[str, ...], experts: Sequence[str]
) -> Iterator[tuple[str, Axis]]:
    """Tables of ``fields`` by expert; where choices of the registry can take their place, lists of these."""
    choices = key != "guidance"
    what = " or ".join([*["a table"] * bool(fields), *["a list of choices"] * choices])
    if not isinstance(value, Mapping):
        raise InputError(f"{key}: got {value!r}, expected {what} for each of {', '.join(experts)}")
    for expert, table in value.items():
        if expert not in experts or not isinstance(table, Mapping | list if choices else Mapping):
            raise InputError(f"{key}.{expert}: expected {what} for {' or '.join(experts)}")
        if isinstance(table, list):
            path = f"{key}.{expert}"
            if not all(isinstance(each, str) for each in table):
                raise InputError(f"{path}: got {table!r}, expected choices as text")
            yield path, axis_of(path, table)
            continue
        for field, described in table.items():
            path = f"{key}.{expert}.{field}"
            if field not in fields:
                expected = f"one of {', '.join(fields)}" if fields else "a list of choices"
                raise InputError(f"{path}: unknown parameter, expected {expected}")
            yield path, axis_of(path, described)
