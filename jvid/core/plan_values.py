"""The parts of a plan as plain values for JSON, and back.

    {"index": 0, "count": 50, "start": {"t": ..., "alpha": ..., "sigma": ...}, "end": {...},
     "weights": {"video": 1.0}, "switched": false}

A value of another form raises KeyError, TypeError or ValueError; ``Plan.from_dict`` turns them into one error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from jvid.core.protocols import Level, Step

__all__ = ["level_of", "number_of", "numbers_of", "step_of", "step_values", "text_of", "whole_of"]


def step_values(step: Step) -> dict[str, Any]:
    """Plain values of a step, without its schedule."""
    return {
        "index": step.index,
        "count": step.count,
        "start": attrs.asdict(step.start),
        "end": attrs.asdict(step.end),
        "weights": dict(step.weights),
        "switched": step.switched,
    }


def step_of(values: Mapping[str, Any]) -> Step:
    """The step of ``step_values``' values; it knows no schedule."""
    index, count, switched = whole_of(values["index"]), whole_of(values["count"]), values["switched"]
    if not isinstance(switched, bool):
        raise ValueError(f"switched is {switched!r}")
    return Step(
        index,
        count,
        level_of(values["start"]),
        level_of(values["end"]),
        numbers_of(values["weights"]),
        switched,
    )


def level_of(values: Mapping[str, Any]) -> Level:
    """A level; alpha and sigma may be anything that is a number, t is finite."""
    return Level(
        number_of(values["t"]), *(number_of(values[name], finite=False) for name in ("alpha", "sigma"))
    )


def numbers_of(values: Mapping[str, Any]) -> dict[str, float]:
    """Finite numbers by name."""
    return {text_of(name): number_of(value) for name, value in values.items()}


def text_of(value: Any) -> str:
    """A name: text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name")
    return value


def number_of(value: Any, finite: bool = True) -> float:
    """A number, by default a finite one."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or (finite and not math.isfinite(value))
    ):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def whole_of(value: Any) -> int:
    """A whole number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no whole number of 0 or more")
    return value
