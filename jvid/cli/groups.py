"""Groups of options that several commands share: a parameter annotated with a group becomes the group's own options.

    @expanded
    def sample(*, prompts: Prompts = None, strategy: StrategyOptions) -> None

A group is an attrs class whose fields are annotated as typer annotates parameters.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import attrs
import typer

from jvid.cli.summary import json_alone

__all__ = ["expanded", "option_of"]


def option_of(panel: str) -> Callable[..., Any]:
    """``typer.Option`` whose help is in a panel of its own."""
    return functools.partial(typer.Option, rich_help_panel=panel)


def expanded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the fields of its groups in their place, as keyword parameters."""
    hints = typing.get_type_hints(function, include_extras=True)
    groups: dict[str, tuple[Any, tuple[str, ...]]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if not attrs.has(kind):
            parameters.append(parameter.replace(annotation=kind))
            continue
        own = typing.get_type_hints(kind, include_extras=True)
        fields = attrs.fields(kind)
        groups[name] = (kind, tuple(field.name for field in fields))
        for field in fields:
            default = None if field.default is attrs.NOTHING else field.default
            parameters.append(
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=own[field.name]
                )
            )

    @functools.wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        for name, (kind, fields) in groups.items():
            given[name] = kind(**{field: given.pop(field) for field in fields})
        with json_alone(bool(given.get("as_json"))):
            return function(*args, **given)

    # Keyword-only parameters come last; a function of options alone takes all of them so.
    ordered = sorted(parameters, key=lambda parameter: parameter.kind)
    command.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    return command
