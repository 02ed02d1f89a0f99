"""Values of a recipe that a command line changes: ``--set training.steps=2``.

A value is TOML, and text where it is none: ``--set data.root=clips`` is ``data.root = "clips"``. Tables on the way are made; an
unknown key is refused as in the file. A table is replaced as a whole, a key in it by its path.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from jvid.errors import InputError

__all__ = ["changed"]


def changed(document: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A copy of a parsed TOML document with each ``KEY=VALUE`` of ``settings`` set, in order.

    Raises:
        InputError: a setting of another form, or a path through a value that is no table.
    """
    found = deepcopy(document)
    for setting in settings:
        path, equals, value = setting.partition("=")
        keys = _keys(path)
        if not equals or not keys:
            raise InputError(f"--set {setting!r}: expected KEY=VALUE, such as training.steps=2")
        table = found
        for depth, key in enumerate(keys[:-1], 1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise InputError(
                    f"--set {setting!r}: {'.'.join(keys[:depth])} is no table, expected a key of one"
                )
        table[keys[-1]] = _value(value.strip())
    return found


def _keys(path: str) -> list[str]:
    """The parts of a dotted key of TOML, quoted ones too; none where it is not one key."""
    try:
        table: Any = tomllib.loads(f"{path} = 0")
    except tomllib.TOMLDecodeError:
        return []
    keys = []
    while isinstance(table, dict):
        if len(table) != 1:
            return []
        (key,) = table
        keys.append(key)
        table = table[key]
    return keys


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A line feed in the text would make further keys.
    return parsed["value"] if len(parsed) == 1 else text
