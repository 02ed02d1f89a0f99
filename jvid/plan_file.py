"""A plan as a file of JSON and back: what was drawn is replayed elsewhere, or edited by hand.

    {"seed": 0, "experts": ["video", "image"], "selector": {...}, "shares": [{"video": 1.0, "image": 0.0}, ...],
     "steps": [{"index": 0, "count": 50, "start": {"t": ..., "alpha": ..., "sigma": ...}, "end": {...},
                "weights": {"video": 1.0}, "switched": false}, ...]}

Numbers keep all their digits, so the plan that is read equals the one that was written. What is read is checked: a run
relies on steps that are numbered, joined, weighted, and marked where experts switch. alpha and sigma are checked later,
against the schedule that the plan is replayed on (``jvid.planning.on_schedule``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from jvid.errors import InputError
from jvid.files import check_file, read_json, whole_file
from jvid.plan import Plan
from jvid.step import Level, Step

__all__ = ["load_plan", "plan_of", "save_plan", "values_of"]


def save_plan(plan: Plan, path: str | Path) -> Path:
    """Write a plan, whole or not at all.

    Raises:
        InputError: a path that does not end in .json, or that cannot be written to.
    """
    path = check_file(path, (".json",))
    with whole_file(path) as part:
        part.write_text(json.dumps(values_of(plan), indent=1) + "\n", encoding="utf-8")
    return path


def load_plan(path: str | Path) -> Plan:
    """Read what ``save_plan`` wrote.

    Raises:
        InputError: no file, one that is no JSON, or one that is no plan.
    """
    plan: Plan = read_json(path, "a plan", "write one with jvid plan -o plan.json", plan_of)
    return plan


def values_of(plan: Plan) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "seed": plan.seed,
        "experts": list(plan.experts),
        "selector": dict(plan.selector),
        "shares": None if plan.shares is None else [dict(shares) for shares in plan.shares],
        "steps": [
            {
                "index": step.index,
                "count": step.count,
                "start": attrs.asdict(step.start),
                "end": attrs.asdict(step.end),
                "weights": dict(step.weights),
                "switched": step.switched,
            }
            for step in plan.steps
        ],
    }


def plan_of(values: Mapping[str, Any]) -> Plan:
    """The plan of ``values_of``'s values; its steps know no schedule.

    Raises:
        InputError: a key is missing, a value has another form, or steps that are none of one plan.
    """
    try:
        shares = values["shares"]
        plan = Plan(
            tuple(map(_step, values["steps"])),
            _whole(values["seed"]),
            tuple(map(_text, values["experts"])),
            None if shares is None else tuple(map(_numbers, shares)),
            dict(values["selector"]),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"not a plan ({error!r}): expected what Plan.to_dict gives") from error
    _check(plan)
    return plan


def _check(plan: Plan) -> None:
    before: Step | None = None
    for number, step in enumerate(plan.steps, 1):
        where = f"not a plan: step {number} of {len(plan)}"
        if (step.index, step.count) != (number - 1, len(plan)):
            raise InputError(
                f"{where} has index {step.index} and count {step.count}; expected {number - 1} and {len(plan)}"
            )
        weights = step.weights.values()
        if not all(weight > 0.0 for weight in weights) or not math.isclose(sum(weights), 1.0, abs_tol=1e-6):
            raise InputError(f"{where} has weights {dict(step.weights)}; expected some above 0 that sum to 1")
        if before is not None and before.end.t != step.start.t:
            raise InputError(
                f"{where} starts at t {step.start.t:g}; expected {before.end.t:g}, where the one before ends"
            )
        if step.switched is not (before is not None and before.asked != step.asked):
            expected = str(not step.switched).lower()
            raise InputError(
                f"{where} has switched {str(step.switched).lower()}; expected {expected} by its experts"
            )
        before = step


def _step(values: Mapping[str, Any]) -> Step:
    index, count, switched = _whole(values["index"]), _whole(values["count"]), values["switched"]
    if not isinstance(switched, bool):
        raise ValueError(f"switched is {switched!r}")
    return Step(
        index, count, _level(values["start"]), _level(values["end"]), _numbers(values["weights"]), switched
    )


def _level(values: Mapping[str, Any]) -> Level:
    return Level(_number(values["t"]), *(_number(values[name], finite=False) for name in ("alpha", "sigma")))


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {_text(name): _number(value) for name, value in values.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name")
    return value


def _number(value: Any, finite: bool = True) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or (finite and not math.isfinite(value))
    ):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no whole number of 0 or more")
    return value
