"""What selectors are made of, from text or from sequences: on the command line sequences are written with "+"."""

from __future__ import annotations

from collections.abc import Sequence

from jvid.errors import InputError

__all__ = ["check_names", "names", "numbers"]


def names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Names, from a sequence or as text video+image."""
    return tuple(value.split("+")) if isinstance(value, str) else tuple(value)


def numbers(value: str | float | Sequence[float]) -> tuple[float, ...]:
    """Numbers, from one, a sequence or as text .2+.8."""
    parts = (
        value.split("+") if isinstance(value, str) else [value] if isinstance(value, (int, float)) else value
    )
    try:
        return tuple(map(float, parts))
    except (TypeError, ValueError):
        raise InputError(f"{value!r}: expected numbers, as text .2+.8") from None


def check_names(who: str, names: Sequence[str], distinct: bool = True) -> None:
    """Refuse no names, empty ones and, if they must be distinct, one twice."""
    if not names or not all(names):
        raise InputError(f"{who} got experts={list(names)!r}; expected at least one name")
    if distinct and len(set(names)) < len(names):
        raise InputError(f"{who} got experts={list(names)!r}; expected each expert once")
