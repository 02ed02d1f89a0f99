"""Errors of others in one line."""

from __future__ import annotations

import pytest

from jvid.errors import one_line


class Unreadable(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "options", "line"),
    [
        (ValueError("a  b\n\tc"), {}, "a b c"),
        (ValueError("a b\nand more"), {"first": True}, "a b"),
        (ValueError("\n a\n"), {"first": True}, "a"),
        (ValueError("a\nb"), {"typed": True}, "ValueError: a b"),
        (ValueError("a\nb"), {"typed": True, "first": True}, "ValueError: a"),
        (KeyError("a"), {"typed": True}, "KeyError: 'a'"),
        (MemoryError(), {}, "MemoryError"),
        (MemoryError(), {"first": True}, "MemoryError"),
        (MemoryError(), {"typed": True}, "MemoryError: no message"),
        (Unreadable(), {}, "a message that cannot be read (RuntimeError)"),
        (Unreadable(), {"typed": True, "first": True}, "Unreadable: a message that cannot be read (RuntimeError)"),
    ],
)  # fmt: skip
def test_an_error_is_one_line(error: BaseException, options: dict[str, bool], line: str) -> None:
    assert one_line(error, **options) == line
