"""What the weights of a run take of a device, on the terminal: by expert, and at once for each way to move them.

    expert  networks  encoders
    high     28.6 GB   11.4 GB
    low      28.6 GB         -
    in all   57.2 GB   11.4 GB

    weights at once: none 68.9 GB, plan 28.6 GB, sequential 28.6 GB

What experts share is counted at the first of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from jvid.extras import extra
from jvid.machine.memory import format_bytes

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["MemoryRow", "memory_table", "peaks_line"]


@attrs.frozen
class MemoryRow:
    """Bytes of an expert's weights.

    Attributes:
        expert: its name.
        networks: of what predicts.
        encoders: of what turns prompts and pictures into its conditions.
    """

    expert: str
    networks: int
    encoders: int


def memory_table(rows: Sequence[MemoryRow]) -> Table:
    """A row for each expert and one for all."""
    with extra("cli"):
        from rich.table import Table

    table = Table(show_edge=False, pad_edge=False, box=None)
    table.add_column("expert")
    for heading in ("networks", "encoders"):
        table.add_column(heading, justify="right", no_wrap=True)
    whole = MemoryRow("in all", sum(row.networks for row in rows), sum(row.encoders for row in rows))
    for row in (*rows, whole):
        table.add_row(row.expert, _shown(row.networks), _shown(row.encoders))
    return table


def peaks_line(peaks: Mapping[str, int]) -> str:
    """The most bytes of weights at once by mode, in one line."""
    return "weights at once: " + ", ".join(f"{mode} {_shown(count)}" for mode, count in peaks.items())


def _shown(count: int) -> str:
    return format_bytes(count) if count else "-"
