"""The count of moves between files, of ``benchmarks.moves``."""

from __future__ import annotations

import sys

import pytest

from benchmarks.moves import Moves, traced


def test_a_move_is_an_event_in_another_file() -> None:
    found = Moves()
    for event, file in (
        ("call", "a"),
        ("call", "a"),
        ("call", "b"),
        ("return", "b"),
        ("return", "a"),
        ("call", "c"),
    ):
        found.add(event, file)
    assert (found.calls, found.returns, found.total, found.back) == (3, 1, 4, 1)
    assert found.files == {"a": 2, "b": 1, "c": 1}
    assert found.total == found.back + len(found.files)
    assert str(found) == "4 moves, 1 of them back, 3 files; 3 at a call, 1 at a return"


def test_a_command_without_a_step_is_reported_and_nothing_is_traced_afterwards() -> None:
    with pytest.raises(RuntimeError, match="jvid --version took no step"):
        traced(["--version"])
    assert sys.getprofile() is None
