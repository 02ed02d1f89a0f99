"""What a plan costs, on the terminal: calls of each expert's network, with seconds where figures are known.

expert  calls  s/call  seconds
video      32   0.200     6.40
image      18   0.050     0.90
in all     50             7.30

Where calls differ, as they do when guidance acts within an interval alone, a column has the rows that they evaluate, and the
seconds of a call are their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from jvid.extras import extra

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["PriceRow", "price_table"]


@attrs.frozen
class PriceRow:
    """What one expert's network costs in a run.

    Attributes:
        expert: its name.
        calls: of the network.
        evaluations: rows that it sees for one clip in all calls; 2 in a call with guidance.
        seconds: of all calls; None is unknown.
        alike: whether all calls have the same number of rows.
    """

    expert: str
    calls: int
    evaluations: int
    seconds: float | None = None
    alike: bool = True


def price_table(rows: Sequence[PriceRow]) -> Table:
    """A row for each expert and one for all; the sum of seconds only where every expert that is called has some."""
    with extra("cli"):
        from rich.table import Table

    called = [row for row in rows if row.calls]
    differ = not all(row.alike for row in rows)
    known = any(row.seconds is not None for row in called)
    table = Table(show_edge=False, pad_edge=False, box=None)
    table.add_column("expert")
    for heading in ["calls", *["evaluations"] * differ, *["s/call", "seconds"] * known]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = [str(row.calls), *[str(row.evaluations)] * differ]
        if row.calls and row.seconds is not None:
            cells += [_short(row.seconds / row.calls), _short(row.seconds)]
        table.add_row(row.expert, *cells)
    total = [str(sum(row.calls for row in rows)), *[str(sum(row.evaluations for row in rows))] * differ]
    seconds = [row.seconds for row in called if row.seconds is not None]
    table.add_row(
        "in all", *total, *(["", _short(sum(seconds))] if known and len(seconds) == len(called) else [])
    )
    return table


def _short(seconds: float) -> str:
    """Hundredths; three digits of what is less than a second."""
    return f"{seconds:.2f}" if seconds >= 1.0 else f"{seconds:.3g}"
