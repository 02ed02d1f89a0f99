"""``conforms``: all checks of a kind on a subject, one report."""

from __future__ import annotations

import copy
import functools
import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

from jvid.errors import InputError
from jvid.testing.budget import Budget, OutOfCalls
from jvid.testing.checking import GLOBALS, REFERENCE, Check, checks_of, options_of
from jvid.testing.report import Outcome, Report
from jvid.testing.trial import Skip, Trial, example_text, failure_text

__all__ = ["conforms"]

_TRIAL = tuple(
    field.name
    for field in attrs.fields(Trial)
    if field.init and field.name not in ("examples", "options", "at")
)


def conforms(
    kind: str,
    subject: Any,
    *,
    expected_failures: Mapping[str, str] | None = None,
    examples: int = 25,
    only: str | Collection[str] | None = None,
    at: Mapping[str, Any] | None = None,
    time_limit: float | None = None,
    max_calls: int | None = None,
    clock: Callable[[], float] = time.monotonic,
    budget: Budget | None = None,
    **context: Any,
) -> Report:
    """Run the checks of a kind on a subject.

    Args:
        kind: such as "schedule", "denoiser" or "wrapper".
        subject: the component; for a wrapper the factory ``(denoiser) -> denoiser``.
        expected_failures: check to the reason why it fails; one that passes after all makes the report not ok.
        examples: how many each property is tried on; 5 or fewer are not made small when they fail.
        only: the checks to run; all if None.
        at: the example to run alone, as a report's ``reproduce`` says it.
        time_limit: seconds for the whole report; checks that would begin later are skipped and named in its first line.
        max_calls: of the network, a denoiser, a feature network or all experts of a sampler; examples are cut to fit, and checks
            that no call is left for are skipped and named in the first line.
        clock: gives the seconds that ``time_limit`` is of.
        budget: both limits of several reports together, in place of the three arguments above.
        context: sizes and conditions that the subject takes (``batch``, ``channels``, ``frames``,
            ``sides``, ``times``, ``cond``, ``dtype``, ``tolerance``, ``device``; see ``Trial``), and the kind's own options;
            ``reference``, the equation that values are compared with (docs/conformance.md gives its signature for each
            kind), ``factory`` and ``ranges``, other options that the subject is built with.

    Raises:
        InputError: an unknown kind, check or option.
        MissingDependencyError: hypothesis is not installed.
    """
    checks = checks_of(kind)
    expected = dict(expected_failures or {})
    wanted = list(checks) if only is None else [only] if isinstance(only, str) else list(only)
    for name in (*wanted, *expected):
        if name not in checks:
            raise InputError(f"{kind} has no check {name!r}: expected one of {', '.join(checks)}")
    if type(examples) is not int or examples < 1:
        raise InputError(f"examples={examples!r}: expected a whole number, at least 1")
    own = options_of(kind)
    for name in context:
        if name not in _TRIAL and name not in own:
            raise InputError(
                f"{kind} is checked without an option {name!r}: expected one of {', '.join((*_TRIAL, *own))}"
            )
        if isinstance(own.get(name), bool) and not isinstance(context[name], bool):
            raise InputError(f"{kind} got {name}={context[name]!r}: expected true or false")
    if context.get("reference") is not None and REFERENCE not in checks:
        raise InputError(
            f"{kind} got reference=...: expected none, what a {kind} does is no value to compare"
        )
    settings = {name: value for name, value in context.items() if name in _TRIAL}
    options = own | {name: value for name, value in context.items() if name not in _TRIAL}
    leaks: list[str] = []
    pristine = _pristine(subject) if at is None else None
    budget = Budget(time_limit, max_calls, clock) if budget is None else budget
    called = subject if budget.max_calls is None else _calling(kind, subject, budget)
    outcomes: list[Outcome] = []
    for name, each in checks.items():
        # What changes global state shows in the other checks, so they run for it, too.
        if name in wanted or GLOBALS in wanted:
            count = examples if name in wanted else min(examples, 3)
            trial = Trial(examples=count, options=options, at=at, **settings)
            trial.leaks, trial.declared, trial.budget = leaks, frozenset(context), budget
            trial.pristine = pristine
            outcome = _outcome(each, called, trial, context, expected.get(name), len(wanted), pristine)
            if name in wanted:
                outcomes.append(attrs.evolve(outcome, named=only is not None))
    switched = [
        f"{name}={context[name]}"
        for name, default in own.items()
        if isinstance(default, bool) and context.get(name, default) is not default
    ]
    return Report(kind, _text(subject), outcomes, switched)


def _calling(kind: str, subject: Any, budget: Budget) -> Any:
    from jvid.testing.calling import calling  # needs hypothesis

    return calling(kind, subject, budget)


def _outcome(
    check: Check,
    subject: Any,
    trial: Trial,
    context: Mapping[str, Any],
    excuse: str | None,
    checks: int,
    pristine: Any,
) -> Outcome:
    from jvid.testing.globals import watched

    budget = trial.budget
    if check.name == GLOBALS:
        budget.cut = None
    elif limit := budget.begin(checks):
        given = getattr(budget, limit)
        return Outcome(
            check.name, "skipped", f"not started, {limit}={given:g} was reached before", limit=limit
        )
    try:
        with watched(lambda what: trial.leaks.append(f"{what} ({check.name})")):
            check.run(subject, trial)
    except Skip as reason:
        return Outcome(check.name, "skipped", str(reason), needs=reason.needs, limit=reason.limit)
    except OutOfCalls:
        return Outcome(
            check.name,
            "skipped",
            f"not finished, max_calls={budget.max_calls} was reached",
            limit="max_calls",
        )
    except Exception as error:
        if excuse is not None:
            return Outcome(check.name, "expected failure", excuse)
        return Outcome(check.name, "failed", failure_text(error), _reproduce(check, trial, context, pristine))
    if excuse is not None:
        return Outcome(check.name, "unexpected pass", f"expected to fail: {excuse}")
    return Outcome(check.name, "passed", _cut(budget))


def _cut(budget: Budget) -> str:
    if budget.cut is None:
        return ""
    return f"on {budget.cut[0]} of {budget.cut[1]} examples, by max_calls={budget.max_calls}"


def _pristine(subject: Any) -> Any:
    """A copy of a subject as it is before any check; None of one that is large, or cannot be copied."""
    from jvid.testing.altered import modules_of

    try:
        return None if modules_of(subject) else copy.deepcopy(subject)
    except Exception:
        return None


def _fails_alone(check: Check, trial: Trial, example: Mapping[str, Any], pristine: Any) -> bool:
    """Whether an example fails of a subject that has seen no other; of what a subject remembers it may not."""
    if pristine is None or trial.budget.max_calls is not None:
        return True
    alone = attrs.evolve(trial, at=example)
    alone.declared = trial.declared
    try:
        check.run(copy.deepcopy(pristine), alone)
    except Skip:
        return False
    except Exception:
        return True
    return False


def _reproduce(check: Check, trial: Trial, context: Mapping[str, Any], pristine: Any) -> str:
    example = trial.falsified if trial.falsified is not None else trial.at
    at = ""
    if example is not None:
        alone = trial.at is not None or _fails_alone(check, trial, example, pristine)
        at = f", at={example_text(example)}" if alone else f", examples={trial.examples}"
    given = "".join(f", {name}={_pasted(name, value, trial)}" for name, value in context.items())
    return f'conforms("{check.kind}", subject, only="{check.name}"{at}{given})'


def _pasted(name: str, value: Any, trial: Trial) -> str:
    """A setting as it is pasted: a value as Python writes it, or the name of the variable that holds it."""
    if name == "device":
        return repr(str(trial.device))
    return repr(value) if _is_plain(value) else name


def _is_plain(value: Any) -> bool:
    """Whether Python reads a value's text as the value."""
    if isinstance(value, Mapping):
        return type(value) is dict and all(_is_plain(each) for item in value.items() for each in item)
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))
    return (
        value is None
        or type(value) in (int, str, bool, range)
        or (type(value) is float and math.isfinite(value))
    )


def _text(subject: Any) -> str:
    if isinstance(subject, functools.partial):
        options = ", ".join(f"{name}={value!r}" for name, value in subject.keywords.items())
        return f"{_text(subject.func)}({options})"
    named = isinstance(subject, type) or (callable(subject) and hasattr(subject, "__qualname__"))
    text = " ".join((subject.__qualname__ if named else repr(subject)).split())
    return text if len(text) <= 100 else f"{text[:97]}..."
