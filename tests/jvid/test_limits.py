"""Numbers in texts, and the sizes that messages show."""

from __future__ import annotations

import pytest

from jvid.errors import InputError
from jvid.limits import whole_number
from jvid.machine.cores import local_world_size
from jvid.machine.memory import format_bytes


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1), ("", None), ("²", None), ("１", None), ("-1", None), ("1.0", None),
     ("1_0", None), (" 1", None), ("1" * 19, None), ("1" * 5000, None)],
)  # fmt: skip
def test_whole_numbers_are_of_ascii_digits(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def test_a_smaller_number_than_the_least_is_none() -> None:
    assert (whole_number("0", 1), whole_number("1", 1)) == (None, 1)
    for value in ("0", "²", "1" * 5000):
        with pytest.raises(InputError, match=r"LOCAL_WORLD_SIZE=.*: expected how many processes"):
            local_world_size({"LOCAL_WORLD_SIZE": value})


def test_any_number_of_bytes_is_shown() -> None:
    shown = [format_bytes(count) for count in (87 * 10**6, 13 * 10**8, 10**18, 10**400)]
    assert shown == ["87 MB", "1.3 GB", "more than 1000000000 GB", "more than 1000000000 GB"]
