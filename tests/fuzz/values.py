"""Values that a field, a line or an option may hold though it should not, and mutations of documents that hold them."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["TEXTS", "bytes_of", "json_text", "mutated", "toml_text"]

DEEP = "<nested 100000 times>"
"""A placeholder for a nesting that no document in memory can have; `json_text` writes it."""
NUMBERS: list[Any] = [
    0, -1, 1, 2, 3, 7, 100, 4096, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63), 10**18, 10**400, 0.0, -0.0, 0.5, 1.5, -0.5,
    1e-177, 5e-324, 1e300, -1e300, math.inf, -math.inf, math.nan,
]  # fmt: skip
TEXTS = [
    "", " ", "a", "1", "nan", "true", "None", "../outside/x", "/proc/1/x", ".", "a/b", "a\0b", "a\nb", "\ud800", "é",
    "x" * 300,
    "x" * 100_000, "(", "[", "*", "%s", "{}", "${HOME}", "-1", "--help", ":", "a:b=1", "a:b", "=", "a=b", "video",
    "image", "concat:a|b",
    "http://127.0.0.1:9/", "file:/etc/passwd", "__class__", "always:name=video", "guided:scale=nan", "cuda", "float32",
    "1e400",
    "/dev/null", "/dev/stdin",
]  # fmt: skip
OTHERS: list[Any] = [None, True, False, [], {}, [0], [[]], {"": 0}, {"a": {}}, [None] * 3, [0] * 5000, DEEP]


def value(draw: random.Random) -> Any:
    """Any of the values."""
    return copy.deepcopy(draw.choice(draw.choice([NUMBERS, TEXTS, OTHERS])))


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values of a document but itself."""
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, each in items:
        yield (*path, key)
        yield from places(each, (*path, key))


def mutated(document: Any, draw: random.Random) -> Any:
    """A copy with one, two or three values changed, removed, added, renamed, wrapped, repeated or exchanged."""
    document = copy.deepcopy(document)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        every = list(places(document)) if isinstance(document, dict | list) else []
        if not every or draw.random() < 0.02:
            return value(draw)
        path = draw.choice(every)
        holder = _at(document, path[:-1])
        key = path[-1]
        how = draw.randrange(10)
        if how < 4:
            holder[key] = value(draw)
        elif how == 4:
            del holder[key]
        elif how == 5 and isinstance(holder, dict):
            holder[draw.choice(TEXTS)] = value(draw)
        elif how == 6 and isinstance(holder, dict):
            holder[f"{key}{draw.choice(['', 's', ' ', 'x'])}"] = holder.pop(key)
        elif how == 7:
            holder[key] = [holder[key]]
        elif how == 8 and isinstance(holder[key], list):
            holder[key] = holder[key] * draw.choice([0, 2, 50])
        else:
            holder[key] = copy.deepcopy(_at(document, draw.choice(every)))
    return document


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def json_text(document: Any) -> bytes:
    """JSON, with NaN and infinity as Python writes them, and lone surrogates escaped."""
    nested = '{"a":' * 50_000 + "[" * 50_000
    try:
        text = json.dumps(document)
    except (RecursionError, ValueError):
        text = nested
    return text.replace(json.dumps(DEEP), nested).encode()


def toml_text(document: Any) -> bytes:
    """TOML, each table inline; what TOML does not have is left out."""
    if not isinstance(document, dict):
        return json_text(document)
    return "".join(
        f"{_key(key)} = {_toml(each)}\n" for key, each in document.items() if each is not None
    ).encode("utf-8", "surrogatepass")


def _toml(each: Any) -> str:
    if isinstance(each, dict):
        return (
            "{ "
            + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in each.items() if one is not None)
            + " }"
        )
    if isinstance(each, list):
        return "[" + ", ".join(_toml(one) for one in each if one is not None) + "]"
    if isinstance(each, bool):
        return str(each).lower()
    if isinstance(each, float):
        return repr(each)
    if each == DEEP:
        return "[" * 50_000
    return str(each) if isinstance(each, int) else json.dumps(each)


def _key(key: Any) -> str:
    return json.dumps(str(key))


def bytes_of(data: bytes, draw: random.Random) -> bytes:
    """Content that is damaged: cut, flipped, filled, doubled, or of something else."""
    how = draw.randrange(9)
    middle = draw.randrange(len(data) + 1)
    if how == 0:
        return b""
    if how == 1:
        return data[:middle]
    if how == 2 and data:
        changed = bytearray(data)
        for _ in range(draw.choice([1, 3, 20])):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        return bytes(changed)
    if how == 3:
        return data[:middle] + bytes(draw.randrange(1, 64)) + data[middle:]
    if how == 4:
        return data + data
    if how == 5:
        return bytes(len(data))
    if how == 6:
        return draw.choice([b"\xff\xfe", b"\xef\xbb\xbf"]) + data
    if how == 7:  # a length that no file has
        return b"\xff" * 8 + data[8:]
    return draw.choice([b"null", b"[]", b"{}", b'"x"', b"1e999", b"\x80\x04K\x01.", b"PK\x03\x04",
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', "
                        b"'fortran_order': False, 'shape': (1000000000000,), }" + b" " * 30 + b"\n"])  # fmt: skip
