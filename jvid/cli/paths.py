"""Paths among the words of a command: an empty one is refused, for it would be the current folder."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from jvid.errors import InputError

__all__ = ["Command"]


class Command(TyperCommand):
    """A command whose paths are not empty."""

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command with its words.

        Raises:
            InputError: an empty path; it names the option or the argument.
        """
        words = list(args)
        context = super().make_context(info_name, args, parent=parent, **extra)
        hints: dict[str, Any] = typing.get_type_hints(self.callback) if self.callback else {}
        for parameter in self.params:
            kind, value = hints.get(str(parameter.name)), context.params.get(str(parameter.name))
            if (kind is Path or Path in _inner(kind)) and Path() in (
                value if isinstance(value, list) else [value]
            ):
                _check(parameter, words)
        return context


def _inner(kind: Any) -> tuple[Any, ...]:
    """The types within ``list[Path]``, ``Path | None`` and ``list[Path] | None``."""
    inner = typing.get_args(kind)
    return (*inner, *(each for one in inner for each in typing.get_args(one)))


def _check(parameter: Any, words: Sequence[str]) -> None:
    """Refuse a path "" among the words, which is the value "." by now."""
    if parameter.param_type_name == "argument":
        if "" in words and not any(word and Path(word) == Path() for word in words):
            raise InputError(f"{parameter.metavar or parameter.name} '': expected a path")
        return
    for word, following in zip(words, [*words[1:], None], strict=True):
        if (word in parameter.opts and following == "") or any(word == f"{name}=" for name in parameter.opts):
            raise InputError(f"{max(parameter.opts, key=len)} '': expected a path")
