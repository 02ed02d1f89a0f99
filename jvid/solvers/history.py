"""The memory of multistep solvers: past predictions with the levels at which they were made.

Experts predict different x_0, so an entry of another expert is no past of this one's. Where the experts that
predict change (``Step.switched``), a history may be

    per-expert   kept for each set of experts apart, with its own, uneven spacing
    restart      emptied: the next step is of first order
    ignore       read on, as if one model had predicted all along

docs/solvers.md holds the measurements behind the default. Past is what lies behind on the same way: where the walk
turned round it ends, because what was ahead then is ahead now. A history is a value: a step makes a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import attrs
from torch import Tensor

from jvid.core.protocols import Level, Step
from jvid.errors import InputError

__all__ = ["EMPTY", "REACH", "Entry", "History", "Mode", "check_mode", "log_snr", "within_reach"]

Mode = Literal["per-expert", "restart", "ignore"]

REACH = 8.0
"""A step is at most this many times as long, in lambda, as the way back to the newest entry that it is extrapolated from.

Grids in use stay below 6 (the last steps of "leading" and "linspace"); what goes beyond is a chance encounter of levels,
where a difference of predictions over next to nothing would be thrown far ahead.
"""


def check_mode(who: str, mode: str) -> None:
    """Refuse a mode that is none of the three."""
    if mode not in get_args(Mode):
        raise InputError(f"{who} got history={mode!r}; expected one of {', '.join(get_args(Mode))}")


def log_snr(level: Level) -> float:
    """lambda = log(alpha / sigma); infinite at the ends."""
    if level.sigma == 0.0:
        return math.inf
    return math.log(level.alpha / level.sigma) if level.alpha > 0.0 else -math.inf


@attrs.frozen(eq=False)
class Entry:
    """A prediction ``value (b c f h w)`` made at ``level``, in the step ``index``."""

    index: int
    level: Level
    value: Tensor


@attrs.frozen(eq=False)
class History:
    """Entries by the experts that made them, the newest first; what a solver's memory holds."""

    entries: tuple[tuple[frozenset[str], tuple[Entry, ...]], ...] = ()

    def recall(self, step: Step, mode: Mode) -> tuple[Entry, ...]:
        """The past of this step, the newest first: each entry farther behind than the one before."""
        if mode == "restart" and step.switched:
            return ()
        return tuple(_behind(step, dict(self.entries).get(_key(step, mode), ())))

    def add(self, step: Step, mode: Mode, value: Tensor, length: int, level: Level | None = None) -> History:
        """With this step's prediction in front of its past; ``length`` entries of it are kept."""
        key = _key(step, mode)
        past = (Entry(step.index, level or step.start, value), *self.recall(step, mode))[:length]
        others = tuple((name, kept) for name, kept in self.entries if name != key)
        return History((*others, (key, past)))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return History, (self.entries,)


EMPTY = History()
"""Before the first step."""


def within_reach(step: Step, past: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The part of a past that a step in lambda may be extrapolated from; all finite, none if ``step`` is not."""
    now, end = log_snr(step.start), log_snr(step.end)
    if not (math.isfinite(now) and math.isfinite(end)):
        return ()
    past = tuple(entry for entry in past if math.isfinite(log_snr(entry.level)))
    if not past or abs(end - now) > REACH * abs(now - log_snr(past[0].level)):
        return ()
    return past


def _behind(step: Step, entries: tuple[Entry, ...]) -> Iterator[Entry]:
    rising, last = step.end.angle > step.start.angle, step.start.angle
    for entry in entries:
        angle = entry.level.angle
        if angle == last or (angle < last) != rising:
            return
        yield entry
        last = angle


def _key(step: Step, mode: Mode) -> frozenset[str]:
    return step.active if mode == "per-expert" else frozenset()
