"""Options of a factory, checked against its signature before it is called.

``accepted`` lists what a factory accepts; ``check_options`` refuses unknown names, missing ones and
values of another type than annotated, in one line that names the component and the option. Only
plain annotations (bool, int, float, str, None, unions of them, and a ``Literal``) are checked: the
factory itself checks the rest.
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from jvid.errors import InputError

__all__ = ["accepted", "check_options", "choices", "fitting", "parameters", "plain_types"]

_PLAIN: dict[str, type | None] = {"bool": bool, "int": int, "float": float, "str": str, "None": None}
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "none"}


def parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters that can be given by name; ``**options`` appears as such."""
    try:
        found = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return {"options": inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)}
    # attrs leaves a converted field without annotation in __init__; the field itself still has it.
    fields = (
        {a.alias: a.type for a in attrs.fields(factory)}
        if isinstance(factory, type) and attrs.has(factory)
        else {}
    )
    skip = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY)
    module = sys.modules.get(getattr(factory, "__module__", None) or "")
    shown = {}
    for name, parameter in found.items():
        if parameter.kind not in skip:
            annotation: Any = parameter.annotation
            if annotation is parameter.empty and fields.get(name) is not None:
                annotation = fields[name]
            if isinstance(annotation, str) and annotation.isidentifier():  # an alias, such as Mode
                annotation = getattr(module, annotation, annotation)
            shown[name] = parameter.replace(annotation=annotation)
    return shown


def fitting(
    factory: Callable[..., Any], options: Mapping[str, Any], offered: Mapping[str, Any], free: bool = False
) -> dict[str, Any]:
    """The options with those of the ``offered`` ones that they lack and the factory takes.

    Args:
        factory: the options are for.
        options: stated ones.
        offered: such as a device, which not every factory takes.
        free: whether a factory that takes any option (``**options``) takes these.
    """
    known = parameters(factory)
    free = free and any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
    return {**{name: value for name, value in offered.items() if free or name in known}, **options}


def accepted(factory: Callable[..., Any]) -> str:
    """The options of a factory as text: ``t_v, t_e, video='video'``."""
    shown = []
    for name, parameter in parameters(factory).items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            shown.append(f"**{name}")
        elif parameter.default is inspect.Parameter.empty:
            shown.append(name)
        else:
            shown.append(f"{name}={_default(parameter.default)}")
    return ", ".join(shown) or "no options"


def plain_types(annotation: object) -> tuple[type, ...] | None:
    """The types of a plain annotation, evaluated or not; None where it is not plain."""
    if isinstance(annotation, str):
        parts = [part.strip() for part in annotation.strip("'\"").split("|")]
        if not all(part in _PLAIN for part in parts):
            return None
        return tuple(_PLAIN[part] or type(None) for part in parts)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [plain_types(member) for member in typing.get_args(annotation)]
        if any(member is None for member in members):
            return None
        return tuple(kind for member in members if member for kind in member)
    if annotation is None or annotation is type(None):
        return (type(None),)
    return (annotation,) if isinstance(annotation, type) and annotation in _WORDS else None


def choices(annotation: object) -> tuple[Any, ...] | None:
    """The values of a ``Literal``, evaluated or not; None where it is another annotation."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    if isinstance(annotation, str) and annotation.startswith("Literal[") and annotation.endswith("]"):
        try:
            return tuple(ast.literal_eval(f"({annotation[len('Literal[') : -1]},)"))
        except (SyntaxError, ValueError):
            return None
    return None


def check_options(who: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that the factory does not take.

    Raises:
        InputError: an unknown option, a missing one, or a value of another type than annotated.
    """
    known = parameters(factory)
    free = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    named = {name: p for name, p in known.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    for name in options:
        if name not in named and not free:
            raise InputError(f"{who} has no option {name!r}: it accepts {accepted(factory)}")
    missing = [
        name for name, p in named.items() if p.default is inspect.Parameter.empty and name not in options
    ]
    if missing:
        raise InputError(f"{who} needs {' and '.join(map(repr, missing))}: it accepts {accepted(factory)}")
    for name, value in options.items():
        among = choices(named[name].annotation) if name in named else None
        if among is not None and value not in among:
            words = " or ".join(map(repr, among))
            raise InputError(f"{who} got {name}={value!r}: expected {words} (it accepts {accepted(factory)})")
        expected = plain_types(named[name].annotation) if name in named else None
        if expected and not _fits(value, expected):
            words = " or ".join(_WORDS[kind] for kind in expected)
            raise InputError(f"{who} got {name}={value!r}: expected {words} (it accepts {accepted(factory)})")


def _fits(value: object, expected: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in expected
    return isinstance(value, expected) or (isinstance(value, int) and float in expected)


def _default(value: object) -> str:
    return repr(value) if isinstance(value, (str, int, float, bool, type(None))) else "..."
