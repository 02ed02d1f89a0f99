"""What a plan costs, on the terminal: calls of each expert, with seconds where figures are known.

expert  calls  s/call  seconds
video      32   0.200     6.40
image      18   0.050     0.90
in all     50             7.30
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from jvid.pair import Pair
    from jvid.plan import Plan
    from jvid.strategy import Strategy

__all__ = ["given_seconds", "measured_seconds", "price_table"]


def given_seconds(text: str, experts: Collection[str]) -> dict[str, float]:
    """``video=.2,image=.05`` as seconds by expert.

    Raises:
        InputError: another form, an expert that there is not or twice, or no seconds of 0 or more.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not equals or not 0.0 <= seconds < math.inf:
            raise InputError(
                f"--seconds {text!r}: got {part.strip()!r}, expected seconds of 0 or more as video=.2,image=.05"
            )
        if name not in experts:
            raise InputError(f"--seconds of {name!r}: expected experts among {', '.join(experts)}")
        if name in found:
            raise InputError(f"--seconds {text!r} gives {name!r} twice: expected it once")
        found[name] = seconds
    return found


def measured_seconds(
    strategy: Strategy, plan: Plan, pair: Pair, device: str, shape: Sequence[int]
) -> dict[str, float]:
    """Seconds a call of the pair's experts for one clip ``(c, f, h, w)``: guided, and in windows, as the strategy says."""
    from jvid.timing import seconds_per_call

    sampler = strategy.sampler(pair, shape[1])
    return seconds_per_call(sampler, plan, shape, pair.text_encoder([""]), device)


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
