"""Strategies as plain values and as files of JSON; every error names the key that is wrong.

A choice may be text, ``"ddim:eta=0"``. Guidance is a number, or by expert a number or
``{"scale": 2, "interval": [0.2, 0.8], "rescale": 0.5}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.choices import Choice
from jvid.errors import InputError
from jvid.guidance import AnyGuidance, Guidance, as_guidance

if TYPE_CHECKING:
    from jvid.strategy import Strategy

__all__ = ["plain", "read", "structured", "write"]


def plain(strategy: Strategy) -> dict[str, Any]:
    """The strategy as values that JSON has."""
    values: dict[str, Any] = _converter().unstructure(strategy)
    return values


def structured(values: Mapping[str, Any], cls: type[Strategy]) -> Strategy:
    """The strategy of ``plain``'s values.

    Raises:
        InputError: a key is missing or unknown, or a value has another form.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"a strategy is a JSON object with the keys {_keys(cls)}: got {_short(values)}")
    try:
        strategy: Strategy = _converter().structure(values, cls)
    except Exception as error:  # cattrs gathers whatever a value provokes
        raise InputError(_told(error)) from error
    return strategy


def write(strategy: Strategy, path: str | Path) -> None:
    """Write the strategy as JSON, whole or not at all.

    Raises:
        InputError: no .json, or a folder that cannot be written to.
    """
    from jvid.files import check_file, whole_file

    with whole_file(check_file(path, (".json",))) as part:
        part.write_text(json.dumps(plain(strategy), indent=1) + "\n", encoding="utf-8")


def read(path: str | Path, cls: type[Strategy]) -> Strategy:
    """The strategy of a file; errors name the file.

    Raises:
        InputError: no such file, no JSON, or no strategy.
    """
    from jvid.files import read_json

    remedy = "write one with Strategy.save or --save-strategy"
    strategy: Strategy = read_json(path, "a strategy", remedy, lambda values: structured(values, cls))
    return strategy


@cache
def _converter() -> Any:
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)

    def choice(value: Any, _: type) -> Choice:
        if isinstance(value, str):
            return Choice.parse(value)
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise InputError(f"{_short(value)}: expected a component's name and options")
        options = value.get("options", {})
        if unknown := set(value) - {"name", "options"}:
            raise InputError(f"unknown key {sorted(unknown)[0]!r}, expected name, options")
        if not isinstance(options, Mapping):
            raise InputError(f"options {_short(options)}: expected an object")
        return Choice(value["name"], options)

    def guidance(value: Any, _: type) -> AnyGuidance:
        if not isinstance(value, Mapping):
            return as_guidance(value)
        return as_guidance({name: _guidance(name, each) for name, each in value.items()})

    def number(value: Any, _: type) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"{_short(value)}: expected a number")
        return float(value)

    def whole(value: Any, _: type) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{_short(value)}: expected a whole number")
        return value

    converter.register_structure_hook(Choice, choice)
    converter.register_structure_hook(float, number)
    converter.register_structure_hook(int, whole)
    converter.register_structure_hook_func(lambda kind: kind == AnyGuidance, guidance)
    converter.register_unstructure_hook(Choice, lambda c: {"name": c.name, "options": dict(c.options)})
    converter.register_unstructure_hook_func(lambda kind: kind == AnyGuidance, _plain_guidance)
    return converter


def _guidance(expert: str, value: Any) -> float | Guidance:
    if not isinstance(value, Mapping):
        return value  # type: ignore[no-any-return]  # a scale, which as_guidance checks
    if unknown := [key for key in value if key not in attrs.fields_dict(Guidance)]:
        raise InputError(f"unknown key {unknown[0]!r} for {expert}, expected {_keys(Guidance)}")
    if "scale" not in value:
        raise InputError(f"no scale for {expert}, expected {_keys(Guidance)}")
    return Guidance(**value)


def _plain_guidance(guidance: AnyGuidance) -> Any:
    if not isinstance(guidance, Mapping):
        return guidance
    # JSON has no tuples; what is written is what is read back.
    return {
        name: {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in attrs.asdict(each).items()
            # Left out where it says nothing: what was written before it was known stays the same.
            if key != "against" or value
        }
        for name, each in guidance.items()
    }


def _told(error: Exception, path: str = "") -> str:
    """The first thing that is wrong, in a line, with the key where it stands."""
    import cattrs

    inner = list(getattr(error, "exceptions", ()))
    if inner:
        first = inner[0]
        notes = [note for note in getattr(first, "__notes__", ()) if isinstance(note, _notes())]
        return _told(first, ".".join([*filter(None, [path]), *(_key(note) for note in notes)]))
    at = f"at {path}: " if path else ""
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"{at}unknown key {sorted(error.extra_fields)[0]!r}, expected {_keys(error.cl)}"
    if isinstance(error, KeyError):
        return f"no key {path!r}: it is needed"
    if isinstance(error, InputError):
        return f"{at}{error}"
    return f"{at}{type(error).__name__}: {' '.join(str(error).split())}; expected what Strategy.to_dict gives"


def _notes() -> tuple[type, ...]:
    from cattrs import AttributeValidationNote, IterableValidationNote

    return AttributeValidationNote, IterableValidationNote


def _key(note: Any) -> str:
    return str(getattr(note, "name", None) or getattr(note, "index", ""))


def _keys(cls: type) -> str:
    return ", ".join(attrs.fields_dict(cls))


def _short(value: Any) -> str:
    """The value as it was written, cut where it is long."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
