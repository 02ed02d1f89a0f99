"""How many and how large a number may be before anything is made of it: a message is cheaper than a full memory."""

from __future__ import annotations

from jvid.errors import InputError

__all__ = ["MOST_BATCHES", "MOST_CLIPS", "MOST_ROWS", "MOST_TEXT", "check_most", "whole_number"]

MOST_CLIPS = 100_000
"""Of one call that holds all of them in memory."""
MOST_BATCHES = 1_000_000
"""Files of a set of clips."""
MOST_ROWS = 1_000_000
"""Rows of a table, a step each."""
MOST_TEXT = 128 << 20
"""Bytes of a JSON or TOML file, which takes several times as much memory."""


_DIGITS = 18


def check_most(what: str, got: int, most: int, remedy: str) -> None:
    """Refuse a number above the most.

    Raises:
        InputError: with what it is of, the most, and what to do.
    """
    if got > most:
        shown = f"{got}" if got < 10**15 else f"more than {10**15}"
        raise InputError(f"{what} {shown}: expected at most {most}; {remedy}")


def whole_number(text: str, least: int = 0) -> int | None:
    """The number of a text of digits 0 to 9; None for another text, a smaller number, or one of more than 18 digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    return number if (number := int(text)) >= least else None
