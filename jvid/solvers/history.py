"""What a multistep solver remembers: past predictions with the levels that they were made at.

Experts predict different x_0, so an entry of another expert is no past of this one's. Where the experts that
predict change (``Step.switched``), a history may be

    per-expert   kept for each set of experts apart, with its own, uneven spacing
    restart      emptied: the next step is of first order
    ignore       read on, as if one model had predicted all along

docs/solvers.md holds the measurements behind the default. A history is a value: a step makes a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import attrs
from torch import Tensor

from jvid.errors import InputError
from jvid.step import Level, Step

__all__ = ["EMPTY", "Entry", "History", "Mode", "check_mode", "log_snr"]

Mode = Literal["per-expert", "restart", "ignore"]


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
        """The past of this step, the newest first."""
        if mode == "restart" and step.switched:
            return ()
        return dict(self.entries).get(_key(step, mode), ())

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


def _key(step: Step, mode: Mode) -> frozenset[str]:
    return step.asked if mode == "per-expert" else frozenset()
