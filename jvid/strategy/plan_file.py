"""A plan as a file of JSON and back: what was drawn is replayed elsewhere, or edited by hand.

    {"seed": 0, "experts": ["video", "image"], "selector": {...}, "shares": [{"video": 1.0, "image": 0.0}, ...],
     "steps": [{"index": 0, "count": 50, "start": {"t": ..., "alpha": ..., "sigma": ...}, "end": {...},
                "weights": {"video": 1.0}, "switched": false}, ...]}

Numbers keep all their digits, so the plan that is read equals the one that was written. alpha and sigma are checked
later, against the schedule that the plan is replayed on (``jvid.core.planning.on_schedule``).
"""

from __future__ import annotations

import json
from pathlib import Path

from jvid.core.plan import Plan
from jvid.files import check_file, read_json, whole_file

__all__ = ["load_plan", "save_plan"]


def save_plan(plan: Plan, path: str | Path) -> Path:
    """Write a plan, whole or not at all.

    Raises:
        InputError: a path that does not end in .json, or that cannot be written to.
    """
    path = check_file(path, (".json",))
    with whole_file(path) as part:
        part.write_text(json.dumps(plan.to_dict(), indent=1) + "\n", encoding="utf-8")
    return path


def load_plan(path: str | Path) -> Plan:
    """Read what ``save_plan`` wrote.

    Raises:
        InputError: no file, one that is no JSON, or one that is no plan.
    """
    plan: Plan = read_json(path, "a plan", "write one with jvid plan -o plan.json", Plan.from_dict)
    return plan
