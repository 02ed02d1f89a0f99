"""A component by name with its options, as plain values: ``piecewise-affine:t_v=.2,t_e=.7,p_e=.3,p_f=.3``.

Values are read as Python reads literals: whole numbers, numbers, true, false and none; all else is text. An option may
be a choice itself, in parentheses: ``corrected:postprocessor=(temporal:threshold=2)``. What text cannot hold (lists, text
that looks like a number) is written as ``{"name": ..., "options": {...}}``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from jvid.errors import InputError

__all__ = ["Choice", "as_choice", "as_choices", "as_optional_choice", "parse_value"]


def _frozen(options: Any) -> Mapping[str, Any]:
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise InputError(f"options {_short(options)}: expected a mapping of names to values")
    return MappingProxyType({key: _canonical(value, key) for key, value in options.items()})


_DEEPEST = 32
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}


@attrs.frozen
class Choice:
    """A name of the registry and the options for its factory. A pure value: nothing is loaded.

    Options have the forms that JSON has, so that they are the same when they are read back: a tuple becomes a list, and a
    mapping of a name and options becomes a choice.
    """

    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen, hash=False)

    def __attrs_post_init__(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or not name:
            raise InputError(f"{self.name!r}: expected the name of a component, as text")

    def __reduce__(self) -> tuple[type[Choice], tuple[object, ...]]:
        # A mapping proxy does not pickle, and strategies travel to other processes.
        return Choice, (self.name, dict(self.options))

    @classmethod
    def parse(cls, text: str) -> Choice:
        """``name`` or ``name:option=value,option=value``.

        Raises:
            InputError: another form, or an option given twice.
        """
        if not isinstance(text, str):
            raise InputError(f"{_short(text)}: expected a choice, NAME or NAME:option=value, as text")
        if text.count("(") > _DEEPEST:
            raise InputError(f"{text[:60]}...: more than {_DEEPEST} choices within choices")
        name, colon, rest = text.partition(":")
        options: dict[str, Any] = {}
        for part in _split(text, rest) if rest.strip() else ():
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not key.isidentifier() or not value:
                raise InputError(f"{text!r}: got {part.strip()!r}, expected option=value (name:a=1,b=2)")
            if key in options:
                raise InputError(f"{text!r} gives {key!r} twice: expected it once")
            nested = value.startswith("(") and value.endswith(")")
            options[key] = cls.parse(value[1:-1]) if nested else parse_value(value)
        if not name.strip() or (colon and not options):
            raise InputError(f"{text!r}: expected a name, or name:option=value,option=value")
        return cls(name.strip(), options)

    @classmethod
    def from_plain(cls, value: Any) -> Choice:
        """The choice of ``to_plain``'s value: text, or a mapping of name and options.

        Raises:
            InputError: another form.
        """
        if isinstance(value, str | Choice):
            return as_choice(value)
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise InputError(f"{_short(value)}: expected a component's name and options")
        if unknown := set(value) - {"name", "options"}:
            raise InputError(f"unknown key {sorted(unknown)[0]!r}, expected name, options")
        options = value.get("options", {})
        if not isinstance(options, Mapping):
            raise InputError(f"options {_short(options)}: expected an object")
        return cls(value["name"], options)

    def to_plain(self) -> str | dict[str, Any]:
        """Text where it holds the whole choice, else a mapping of name and options."""
        try:
            if _same(Choice.parse(text := str(self)), self):
                return text
        except InputError:
            pass
        return {"name": self.name, "options": {key: _plain(value) for key, value in self.options.items()}}

    def but(self, **options: Any) -> Choice:
        """The same component with other options on top."""
        return Choice(self.name, {**self.options, **options})

    @property
    def bare(self) -> str:
        """The name without its plugin."""
        return self.name.rpartition("/")[2]

    def __str__(self) -> str:
        shown = ",".join(f"{key}={_text(value)}" for key, value in self.options.items())
        return f"{self.name}:{shown}" if shown else self.name


def as_choice(value: Choice | str) -> Choice:
    """The choice itself, or that of a text."""
    return value if isinstance(value, Choice) else Choice.parse(value)


def as_optional_choice(value: Choice | str | None) -> Choice | None:
    """The choice itself, or that of a text; None stays None."""
    return None if value is None else as_choice(value)


def as_choices(values: Iterable[Choice | str]) -> tuple[Choice, ...]:
    """A stack of choices, each of which may be text.

    Raises:
        InputError: one choice or one text in place of a list.
    """
    if isinstance(values, str | Choice | Mapping) or not isinstance(values, Iterable):
        shown = str(values) if isinstance(values, Choice) else values
        raise InputError(f"{_short(shown)}: expected a list of choices, in order")
    return tuple(map(as_choice, values))


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


def _split(text: str, rest: str) -> Iterator[str]:
    """The parts between commas outside of parentheses."""
    depth, start = 0, 0
    for place, sign in enumerate(rest):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
        if sign == "," and depth == 0:
            yield rest[start:place]
            start = place + 1
    if depth:
        raise InputError(f"{text!r}: parentheses do not match, expected option=(name:a=1)")
    yield rest[start:]


def _canonical(value: Any, option: str) -> Any:
    """An option's value in the form that it has when it is read from JSON."""
    if isinstance(value, Mapping):
        if isinstance(value.get("name"), str) and set(value) <= {"name", "options"}:
            return Choice.from_plain(value)
        return {key: _canonical(each, option) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(each, option) for each in value]
    if isinstance(value, float) and math.isnan(value):
        raise InputError(f"option {option}={value!r}: expected a number")
    if value is None or isinstance(value, bool | int | float | str | Choice):
        return value
    if isinstance(value, numbers.Integral):  # numpy's, which JSON does not hold
        return int(value)
    if isinstance(value, numbers.Real):
        return _canonical(float(value), option)
    raise InputError(
        f"option {option}={_short(value)}: expected text, a number, true, false, none, a list or a choice"
    )


def _plain(value: Any) -> Any:
    """An option's value for JSON; a choice is a mapping there, since text would be read as text."""
    if isinstance(value, Choice):
        return {"name": value.name, "options": _plain(value.options)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _same(one: Choice, other: Choice) -> bool:
    """Equal in types too: 1, 1.0 and true are three values."""
    return one.name == other.name and repr(dict(one.options)) == repr(dict(other.options))


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"({value})" if isinstance(value, Choice) else str(value)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
