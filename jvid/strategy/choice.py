"""A component by name with its options, as text: ``piecewise-affine:t_v=.2,t_e=.7,p_e=.3,p_f=.3``.

Values read as Python reads literals: whole numbers, numbers, true, false and none; all else is text.
A text that would read as another kind of value cannot be given this way; nobody's option is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from jvid.errors import InputError
from jvid.plugins.registry import load

__all__ = ["Choice", "parse_value"]


def _frozen(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(options))


_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}


@attrs.frozen
class Choice:
    """What to load of some kind: a name of the registry and the options for its factory."""

    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen, hash=False)

    def __reduce__(self) -> tuple[type[Choice], tuple[object, ...]]:
        # A mapping proxy does not pickle, and strategies travel to other processes.
        return Choice, (self.name, dict(self.options))

    @classmethod
    def parse(cls, text: str) -> Choice:
        """``name`` or ``name:option=value,option=value``.

        Raises:
            InputError: another form, or an option given twice.
        """
        name, colon, rest = text.partition(":")
        options: dict[str, Any] = {}
        for part in rest.split(",") if rest.strip() else ():
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not key.isidentifier() or not value:
                raise InputError(f"{text!r}: got {part.strip()!r}, expected option=value (name:a=1,b=2)")
            if key in options:
                raise InputError(f"{text!r} gives {key!r} twice: expected it once")
            options[key] = parse_value(value)
        if not name.strip() or (colon and not options):
            raise InputError(f"{text!r}: expected a name, or name:option=value,option=value")
        return cls(name.strip(), options)

    def load(self, kind: str, **more: Any) -> Any:
        """Build it; ``more`` are options that stand outside the choice.

        Raises:
            InputError: an option that the component refuses, or that ``more`` sets as well.
            UnknownNameError: no such component.
        """
        if both := sorted(set(more) & set(self.options)):
            raise InputError(f"{kind} {self.name!r} got {both[0]!r} among its options: it is set elsewhere")
        return load(kind, self.name, **self.options, **more)

    def __str__(self) -> str:
        shown = ",".join(f"{key}={_text(value)}" for key, value in self.options.items())
        return f"{self.name}:{shown}" if shown else self.name


def parse_value(text: str) -> Any:
    """A whole number, a number, true, false, none, or the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)
