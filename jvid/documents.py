"""Values of attrs classes to JSON and back, and what differs between two of them; every error names the key.

A class may write itself: ``to_plain()`` and the class method ``from_plain(value)`` are used instead of its fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

import attrs

from jvid.errors import InputError, one_line

__all__ = ["check_same", "differences", "flat", "plain", "short", "structured"]

T = TypeVar("T")


def plain(value: Any) -> Any:
    """The value as JSON has it: mappings, lists, text, numbers, true, false and null."""
    return _converter().unstructure(value)


def structured(values: Any, cls: type[T], what: str) -> T:
    """The value of ``plain``'s values; unknown keys, missing keys and values of another form are errors.

    Args:
        values: plain values.
        cls: an attrs class.
        what: a noun for errors, such as "a strategy".

    Raises:
        InputError: in one line, with the key where the values are wrong.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{what} is a JSON object with the keys {_keys(cls)}: got {short(values)}")
    try:
        found: T = _converter().structure(values, cls)
    except Exception as error:  # cattrs gathers whatever a value provokes
        raise InputError(_message(error)) from error
    return found


def flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as one, by paths such as ``strategy.selector.options.t_v``."""
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, values


def differences(then: Any, now: Any) -> list[str]:
    """What differs between two plain values: ``steps: 50 then, 20 now``, a line a path."""
    before, after = dict(flat(then)), dict(flat(now))
    return [
        f"{path}: {_shown(before, path)} then, {_shown(after, path)} now"
        for path in {**before, **after}
        if path not in before or path not in after or before[path] != after[path]
    ]


def check_same(then: Any, now: Any, what: str, remedy: str) -> None:
    """Refuse to go on with what was made with other settings; the first three that differ are named.

    Args:
        then: plain values that it was made with.
        now: those requested.
        what: a clause for the error, such as "FOLDER holds latents of other settings".
        remedy: what to do, such as "give another folder".

    Raises:
        InputError: the values differ.
    """
    if found := differences(then, now):
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise InputError(f"{what}; {'; '.join(found[:3])}{more}: {remedy}")


def short(value: Any) -> str:
    """The value as it is written, cut where it is long."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _shown(values: Mapping[str, Any], path: str) -> str:
    return short(values[path]) if path in values else "nothing"


@cache
def _converter() -> Any:
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)

    def number(value: Any, _: type) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"{short(value)}: expected a number")
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{short(value)}: expected a number, at most 1e308") from None

    def whole(value: Any, _: type) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{short(value)}: expected a whole number")
        return value

    def text(value: Any, _: type) -> str:
        if not isinstance(value, str):
            raise InputError(f"{short(value)}: expected text")
        return value

    def sequence(values: Any, kind: Any) -> tuple[Any, ...]:
        # Text is a sequence of texts to cattrs.
        items = get_args(kind)
        count = None if items[1:] == (Ellipsis,) else len(items)
        if not isinstance(values, list | tuple) or count not in (None, len(values)):
            expected = "a list" if count is None else f"a list of {count}"
            raise InputError(f"{short(values)}: expected {expected}")
        each = items[:1] * len(values) if count is None else items
        return tuple(
            part(value, index, item, kind)
            for index, (value, item) in enumerate(zip(values, each, strict=True))
        )

    def mapping(values: Any, kind: Any) -> dict[Any, Any]:
        if not isinstance(values, Mapping):
            raise InputError(f"{short(values)}: expected an object")
        key, item = get_args(kind)
        return {
            converter.structure(name, key): part(value, name, item, kind) for name, value in values.items()
        }

    def part(value: Any, at: Any, item: Any, kind: Any) -> Any:
        """A value within others; an error has its place."""
        try:
            return converter.structure(value, item)
        except Exception as error:
            error.add_note(cattrs.IterableValidationNote(f"at {at}", at, item))
            raise cattrs.IterableValidationError("values", [error], kind) from error

    converter.register_structure_hook(float, number)
    converter.register_structure_hook(int, whole)
    converter.register_structure_hook(str, text)
    converter.register_structure_hook_func(
        lambda kind: hasattr(kind, "from_plain"), lambda value, kind: kind.from_plain(value)
    )
    converter.register_structure_hook_func(_is_sequence, sequence)
    converter.register_structure_hook_func(_is_mapping, mapping)
    converter.register_unstructure_hook_func(
        lambda kind: hasattr(kind, "to_plain"), lambda value: value.to_plain()
    )
    return converter


def _is_mapping(kind: object) -> bool:
    """Whether a type is a mapping of keys and values."""
    origin: object = get_origin(kind)
    return origin is dict or origin is Mapping


def _is_sequence(kind: object) -> bool:
    """Whether a type is a tuple of stated parts."""
    return get_origin(kind) is tuple


def _message(error: BaseException, path: str = "") -> str:
    """The first thing that is wrong, in a line, with its key."""
    import cattrs

    inner = list(getattr(error, "exceptions", ()))
    if inner:
        first = inner[0]
        notes = [note for note in getattr(first, "__notes__", ()) if isinstance(note, _notes())]
        return _message(first, ".".join([*filter(None, [path]), *(_key(note) for note in notes)]))
    at = f"at {path}: " if path else ""
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"{at}unknown key {sorted(error.extra_fields)[0]!r}, expected {_keys(error.cl)}"
    if isinstance(error, KeyError):
        return f"no key {path!r}: it is needed"
    if isinstance(error, InputError):
        return f"{at}{error}"
    return f"{at}{one_line(error, typed=True)}; expected what jvid writes there"


def _notes() -> tuple[type, ...]:
    from cattrs import AttributeValidationNote, IterableValidationNote

    return AttributeValidationNote, IterableValidationNote


def _key(note: Any) -> str:
    return str(getattr(note, "name", None) or getattr(note, "index", ""))


def _keys(cls: type) -> str:
    return ", ".join(attrs.fields_dict(cls))
