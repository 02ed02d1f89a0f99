"""``@conformance(kind)``: a function that makes a subject becomes one pytest test a check."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from jvid.errors import InputError
from jvid.extras import extra
from jvid.testing.budget import Budget
from jvid.testing.checking import checks_of
from jvid.testing.conforms import conforms

__all__ = ["conformance"]


def conformance(
    kind: str,
    *,
    expected_failures: Mapping[str, str] | None = None,
    examples: int = 25,
    only: Collection[str] | None = None,
    time_limit: float | None = None,
    max_calls: int | None = None,
    clock: Callable[[], float] = time.monotonic,
    **context: Any,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Decorate a function, named ``test_...``, that returns the subject; pytest then runs one test a check.

    For example::

        @conformance("schedule")
        def test_my_schedule():
            return MySchedule()

    The function may use fixtures and may be parametrised. Arguments are those of ``conforms``; what
    is expected to fail shows as xfailed, what does not apply as skipped. ``time_limit`` and ``max_calls`` hold for all tests of
    the function together, those of each of its parameters.

    Raises:
        InputError: an unknown kind or check, or a function that pytest would not collect.
        MissingDependencyError: pytest or hypothesis is not installed.
    """
    with extra("testing"):
        import pytest

    known = checks_of(kind)
    for name in (*(only or ()), *(expected_failures or {})):
        if name not in known:
            raise InputError(f"{kind} has no check {name!r}: expected one of {', '.join(known)}")
    names = list(known) if only is None else [name for name in known if name in only]

    def decorate(make: Callable[..., Any]) -> Callable[..., None]:
        if not make.__name__.startswith("test"):
            raise InputError(
                f"conformance decorates {make.__name__!r}: expected a name that begins with 'test'"
            )
        wanted = inspect.signature(make)
        budgets: dict[Any, Budget] = {}

        @functools.wraps(make)
        def test(*, check: str, request: pytest.FixtureRequest, **fixtures: Any) -> None:
            excuses = {name: reason for name, reason in (expected_failures or {}).items() if name == check}
            if "request" in wanted.parameters:
                fixtures["request"] = request
            given = request.node.callspec.params  # the same objects for each check
            of = tuple(sorted((name, id(value)) for name, value in given.items() if name != "check"))
            budget = budgets.setdefault(of, Budget(time_limit, max_calls, clock, len(names)))
            report = conforms(
                kind, make(**fixtures), expected_failures=excuses, examples=examples, only=[check], budget=budget, **context
            )  # fmt: skip
            outcome = report[check]
            if outcome.status == "skipped":
                pytest.skip(outcome.detail)
            if outcome.status == "expected failure":
                pytest.xfail(outcome.detail)
            report.raise_for_failures()

        own = {**wanted.parameters}
        for name in ("check", "request"):
            own.setdefault(name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY))
        test.__signature__ = wanted.replace(  # type: ignore[attr-defined]
            parameters=sorted(own.values(), key=lambda each: each.kind), return_annotation=None
        )
        del test.__wrapped__  # pytest would look past the signature
        marked: Callable[..., None] = pytest.mark.parametrize("check", names)(test)
        return marked

    return decorate
