"""One searched parameter: a range, a list of values, or one value that is fixed.

    {low = 0.0, high = 0.8}    {low = 8, high = 50, step = 2}    {low = .005, high = 1, log = true}    ["ddpm", "unipc"]    2.0

A range is of whole numbers where low and high are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Axis", "Options", "Range", "axis_of", "is_range"]

_KEYS = ("low", "high", "step", "log")


@attrs.frozen
class Range:
    """Numbers from ``low`` to ``high``, ends included."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether they are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: BaseTrial, name: str) -> Any:
        """A value from an Optuna trial."""
        if self.whole:
            return trial.suggest_int(
                name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log
            )
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether a strategy's value can be reached."""
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not self.low <= value <= self.high
        ):
            return False
        if self.whole and value != int(value):
            return False
        steps = (value - self.low) / (self.step or 1)
        return not (self.step or self.whole) or math.isclose(steps, round(steps), abs_tol=1e-9)

    def ends(self) -> tuple[Any, Any]:
        """The least and the greatest value."""
        return self.low, self.high


@attrs.frozen
class Options:
    """Values of a list; a single one is fixed, and no parameter of the search."""

    values: tuple[Any, ...]

    def suggest(self, trial: BaseTrial, name: str) -> Any:
        """A value from an Optuna trial."""
        return self.values[0] if len(self.values) == 1 else trial.suggest_categorical(name, self.values)

    def holds(self, value: Any) -> bool:
        """Whether a strategy's value can be reached; true is not 1."""
        return any(type(each) is type(value) and each == value for each in self.values) or (
            isinstance(value, int | float) and not isinstance(value, bool) and value in self.values
        )

    def ends(self) -> tuple[Any, ...]:
        """All values: each of them is checked."""
        return self.values


Axis = Range | Options


def is_range(value: Any) -> bool:
    """Whether a table of the recipe is a range rather than tables of its own."""
    return isinstance(value, Mapping) and bool(value) and set(value) <= set(_KEYS)


def axis_of(key: str, value: Any) -> Axis:
    """The axis that a recipe's value describes.

    Raises:
        InputError: another form; the message begins with ``key``.
    """
    if not isinstance(value, Mapping):
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(each, bool | int | float | str) for each in values):
            raise InputError(f"{key}: got {value!r}, expected a list of numbers or texts, or a range")
        if len(set(map(repr, values))) < len(values):
            raise InputError(f"{key}: got {value!r}, expected each value once")
        return Options(tuple(values))
    if unknown := sorted(set(value) - set(_KEYS)):
        raise InputError(f"{key}.{unknown[0]}: unknown key, expected one of {', '.join(_KEYS)}")
    if missing := [name for name in ("low", "high") if name not in value]:
        raise InputError(f"{key}.{missing[0]}: missing, a range has low and high")
    numbers = [each for name, each in value.items() if name != "log"]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers):
        raise InputError(f"{key}: got {dict(value)!r}, expected numbers")
    if not isinstance(value.get("log", False), bool):
        raise InputError(f"{key}.log: got {value['log']!r}, expected true or false")
    found = Range(value["low"], value["high"], value.get("step"), value.get("log", False))
    if not found.low < found.high:
        raise InputError(f"{key}: low {found.low} and high {found.high}, expected low below high")
    if found.log and found.low <= 0:
        raise InputError(f"{key}.low: got {found.low}, expected a number above 0 beside log")
    if found.step is not None and (
        found.log or found.step <= 0 or (found.whole and found.step != int(found.step))
    ):
        raise InputError(
            f"{key}.step: got {found.step}, expected a step above 0, whole in a range of whole numbers, without log"
        )
    return found
