"""Which units of weights are on a device at which step of a run, decided of names, sizes and the plan alone.

    call(unit) of step i    moves it in if it is away; where it does not fit, units make room, whose next use is farthest
                            (Belady 1966, doi 10.1147/sj.52.0078), and never the one that is called
    last call of step i     moves in what step i + 1 calls, if that fits beside what step i does
    end of step i           moves out what no later step calls

What the steps do not name, such as text encoders, is moved in when it is called and out at the end of that step. ``Mover``
moves; without one the moves are recorded and nothing is moved.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

import attrs

__all__ = ["Move", "Mover", "Residence"]


@attrs.frozen
class Move:
    """A move of one unit, in or out, and whether it was ahead of its step.

    ``step`` is that during which it was moved: -1 before all, their number behind the last.
    """

    step: int
    unit: str
    into: bool
    ahead: bool = False


class Mover(Protocol):
    """What moves units; names are those of the residence."""

    def fetch(self, unit: str, ahead: bool) -> None:
        """Move a unit in; ``ahead``: while others compute."""
        ...

    def wait(self, unit: str) -> None:
        """Let the computation that follows wait until a unit is there."""
        ...

    def drop(self, unit: str) -> None:
        """Move a unit out."""
        ...


class Residence:
    """The units that are on the device now, and what was moved so far.

    Args:
        sizes: bytes of each unit.
        mover: of the units; None records alone.
        ahead: whether units are moved in ahead of their step.

    Attributes:
        room: bytes that units may take together; None is no limit. A unit that is called is moved in even above it.
        moves: so far, in order.
        peak: most bytes of units that were on the device at once.
    """

    def __init__(self, sizes: Mapping[str, int], mover: Mover | None = None, ahead: bool = False) -> None:
        self.sizes = dict(sizes)
        self.room: int | None = 0
        self.moves: list[Move] = []
        self.peak = 0
        self._mover, self._ahead = mover, ahead
        self._present: dict[str, None] = {}
        self._uses: tuple[frozenset[str], ...] = ()
        self._step = -1
        self._called: set[str] = set()

    @property
    def present(self) -> tuple[str, ...]:
        """The units that are on the device, in the order of their arrival."""
        return tuple(self._present)

    @property
    def taken(self) -> int:
        """Bytes of the units that are on the device."""
        return sum(self.sizes[unit] for unit in self._present)

    def follow(self, uses: Sequence[Collection[str]], room: int | None) -> None:
        """Follow a plan: the units that each of its steps calls, and the bytes that units may take together."""
        self._uses, self.room, self._step = tuple(map(frozenset, uses)), room, -1

    def begin(self, step: int) -> None:
        """A step begins; its number is its index in the uses that are followed."""
        self._step, self._called = step, set()

    def call(self, unit: str) -> None:
        """A unit is called: it is on the device when this returns."""
        if unit not in self._present:
            self._make_room(unit, [each for each in self._present if each != unit])
            self._in(unit)
        if self._mover is not None:
            self._mover.wait(unit)
        self._called.add(unit)
        if self._ahead and self._uses_at(self._step) <= self._called:
            self._fetch_ahead(self._step + 1)

    def end(self) -> None:
        """The step ends."""
        later = frozenset[str]().union(*self._uses[self._step + 1 :])
        self._out([unit for unit in self._present if unit not in later])

    def clear(self) -> None:
        """Move everything out, whatever the plan; an error of one unit does not keep the others there."""
        errors: list[Exception] = []
        for unit in tuple(self._present):
            try:
                self._out([unit])
            except Exception as error:
                errors.append(error)
        self._uses, self._step = (), -1
        if errors:
            raise errors[0]

    def _fetch_ahead(self, step: int) -> None:
        for unit in sorted(self._uses_at(step) - self._present.keys()):
            spare = [each for each in self._present if self._next_use(each) > step]
            kept = self.taken - sum(self.sizes[each] for each in spare)
            if self.room is None or kept + self.sizes[unit] <= self.room:
                self._make_room(unit, spare)
                self._in(unit, ahead=True)

    def _make_room(self, unit: str, others: Iterable[str]) -> None:
        """Move out of ``others`` as many as ``unit`` needs, the farthest next use first."""
        for other in sorted(others, key=self._next_use, reverse=True):
            if self.room is None or self.taken + self.sizes[unit] <= self.room:
                return
            self._out([other])

    def _uses_at(self, step: int) -> frozenset[str]:
        return self._uses[step] if 0 <= step < len(self._uses) else frozenset()

    def _next_use(self, unit: str) -> float:
        steps = range(max(self._step, 0), len(self._uses))
        return next((float(step) for step in steps if unit in self._uses[step]), math.inf)

    def _in(self, unit: str, ahead: bool = False) -> None:
        if self._mover is not None:
            self._mover.fetch(unit, ahead)
        self._present[unit] = None
        self.moves.append(Move(self._step, unit, True, ahead))
        self.peak = max(self.peak, self.taken)

    def _out(self, units: Iterable[str]) -> None:
        for unit in units:
            # Gone from the list first: where moving it out fails, it is not moved out again.
            del self._present[unit]
            self.moves.append(Move(self._step, unit, False))
            if self._mover is not None:
                self._mover.drop(unit)
