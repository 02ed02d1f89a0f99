"""Ranges of a recipe's values, as attrs validators."""

from __future__ import annotations

from typing import Any

import attrs


class WrongValue(ValueError):
    """A value outside its range; it knows its key, which cattrs does not pass to validators."""

    def __init__(self, key: str, value: float, expected: str) -> None:
        super().__init__(f"got {value}, expected {expected}")
        self.key = key


def positive(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    """An attrs validator: above 0."""
    if not value > 0:
        raise WrongValue(attribute.name, value, "a number above 0")


def fraction(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    """An attrs validator: from 0 to 1."""
    if not 0 <= value <= 1:
        raise WrongValue(attribute.name, value, "a number in [0, 1]")


def not_negative(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    """An attrs validator: 0 or more."""
    if not value >= 0:
        raise WrongValue(attribute.name, value, "0 or more")
