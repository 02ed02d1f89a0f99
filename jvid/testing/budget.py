"""The limits of a whole report: seconds, and calls of the network that is checked.

A check that would begin after the time is over is skipped. Calls are shared out: each check has an equal part of those that
are left, at least one example if it can be paid for, and hands on what it does not use. An example that the calls do not
suffice for ends its check, which is skipped if no example was complete before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from jvid.errors import InputError

__all__ = ["Budget", "Calling", "OutOfCalls", "Payable"]


class OutOfCalls(BaseException):
    """No call is left. No ``Exception``: what a check expects of its subject, or a subject catches, is not this."""


def _positive(budget: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    whole = attribute.name == "max_calls"
    kinds = (int,) if whole else (int, float)
    if value is not None and (type(value) not in kinds or not value > 0):
        raise InputError(
            f"{attribute.name}={value!r}: expected a {'whole number of calls' if whole else 'number of seconds'} above 0"
        )


@attrs.define(eq=False)
class Budget:
    """What a report may take, and has taken.

    Attributes:
        time_limit: seconds; None is no limit.
        max_calls: of the subject's networks; None is no limit.
        clock: gives the seconds; they count from the first check on.
        checks: that share the calls; of the report if None.
        calls: made so far.
        cut: how many examples of how many the check at hand was left, where calls did not suffice for all.
    """

    time_limit: float | None = attrs.field(default=None, validator=_positive)
    max_calls: int | None = attrs.field(default=None, validator=_positive)
    clock: Callable[[], float] = time.monotonic
    checks: int | None = None
    calls: int = attrs.field(default=0, init=False)
    cut: tuple[int, int] | None = attrs.field(default=None, init=False)
    _begun: int = attrs.field(default=0, init=False)
    _began: float | None = attrs.field(default=None, init=False)
    _until: int = attrs.field(default=0, init=False)
    _dearest: int = attrs.field(default=0, init=False)

    @property
    def left(self) -> int:
        """Calls that are left; only of a budget with ``max_calls``."""
        assert self.max_calls is not None
        return self.max_calls - self.calls

    @property
    def remaining(self) -> str:
        """The limit of calls and how many are left, for a message."""
        return f"of max_calls={self.max_calls} {self.left} are left"

    def begin(self, checks: int) -> str:
        """Begin the next of so many checks; the limit that it would exceed, "" if it may begin."""
        if self._began is None:
            self._began = self.clock()
        if self.time_limit is not None and self.clock() - self._began >= self.time_limit:
            return "time_limit"
        if self.max_calls is not None:
            if self.left < 1:
                return "max_calls"
            rest = max((self.checks or checks) - self._begun, 1)
            self._until, self._dearest = self.calls + self.left // rest, 0
        self._begun, self.cut = self._begun + 1, None
        return ""

    def spend(self) -> None:
        """Count a call.

        Raises:
            OutOfCalls: none is left.
        """
        if self.max_calls is not None and self.left < 1:
            raise OutOfCalls
        self.calls += 1

    def suffices(self, tried: int) -> bool:
        """Whether a check that has tried so many examples can pay for one more, as dear as its dearest."""
        return self.max_calls is None or not tried or self.calls + self._dearest <= self._until

    def paid(self, since: int) -> None:
        """Note what an example took, that began when so many calls had been made."""
        self._dearest = max(self._dearest, self.calls - since)


class Calling:
    """A network whose calls are counted; all else is the network's own."""

    def __init__(self, inner: Any, budget: Budget) -> None:
        self.inner, self._budget = inner, budget

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __call__(self, *arguments: Any) -> Any:
        self._budget.spend()
        return self.inner(*arguments)


class Payable:
    """Examples of a property that calls suffice for."""

    def __init__(self, budget: Budget, examples: int) -> None:
        self.budget, self.examples, self.tried = budget, examples, 0

    def run(self, function: Callable[..., Any], example: Mapping[str, Any]) -> None:
        """Call the property, or leave the example out.

        Raises:
            OutOfCalls: calls do not suffice for a single example.
        """
        if not self.budget.suffices(self.tried):
            self.budget.cut = self.tried, self.examples
            return
        since = self.budget.calls
        try:
            function(**example)
        except OutOfCalls:
            if not self.tried:
                raise
            self.budget.cut = self.tried, self.examples
            return
        finally:
            self.budget.paid(since)
        self.tried += 1
