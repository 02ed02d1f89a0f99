"""The record of a clip's metadata: values of another type are refused with their key."""

from __future__ import annotations

from typing import Any

import pytest

from jvid.ensemble.source import Source
from jvid.errors import InputError
from jvid.pipeline.record import Clip, Record
from jvid.strategy import Strategy


def stated(**changes: Any) -> dict[str, Any]:
    record = Record(Source("toy"), (Clip("a person waving", 0),), Strategy("always:name=video"))
    return {**record.of(slice(0, 1), 8.0), **changes}


def test_a_record_is_read() -> None:
    assert Record.read(stated()).clips == (Clip("a person waving", 0),)
    assert Record.read(stated(batches=None, threads=2, frames=4)).threads == 2


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("dtype", [None, True, 0, ["float32"], {}]),
        ("device", [None, True, 0, ["cpu"], {}]),
        ("batches", [0, "", {}, "x", True]),
        ("threads", [0, -1, 1.5, True, "2", []]),
        ("frames", [0, -1, 1.5, True, "2", []]),
        ("versions", [None, [], [["jvid", "1"]], {"jvid": 1}, "x"]),
        ("strategy", [None, [], "x", 0]),
        ("ensemble", [None, [], 0]),
    ],
)
def test_another_type_is_refused_with_its_key(key: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InputError, match=key):
            Record.read(stated(**{key: value}))
