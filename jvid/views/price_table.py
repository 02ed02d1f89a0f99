"""What a plan costs, on the terminal: calls of each expert, with seconds where figures are known.

expert  calls  s/call  seconds
video      32   0.200     6.40
image      18   0.050     0.90
in all     50             7.30
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from jvid.core.plan import Plan

__all__ = ["price_table"]


def price_table(plan: Plan, solver: Any, seconds: Mapping[str, float]) -> Table:
    """A row for each expert and one for all; the sum of seconds only where every expert that is called has some."""
    from rich.table import Table

    calls = plan.calls(solver)
    table = Table(show_edge=False, pad_edge=False, box=None)
    table.add_column("expert")
    for heading in ("calls", "s/call", "seconds")[: 3 if seconds else 1]:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, count in calls.items():
        each = seconds.get(name)
        table.add_row(name, str(count), *([] if each is None else [_short(each), _short(count * each)]))
    known = bool(seconds) and all(name in seconds for name, count in calls.items() if count)
    total = ["", _short(plan.price(seconds, solver))] if known else []
    table.add_row("in all", str(sum(calls.values())), *total)
    return table


def _short(seconds: float) -> str:
    """Hundredths; three digits of what is less than a second."""
    return f"{seconds:.2f}" if seconds >= 1.0 else f"{seconds:.3g}"
