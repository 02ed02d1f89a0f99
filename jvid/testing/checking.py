"""Checks and what they run in: a check is a plain function ``(subject, trial)`` that asserts one invariant.

    @check("schedule")
    def angle_never_falls(subject, trial):
        '''atan2(sigma, alpha) never falls as t goes from 0 to 1.'''
        @trial.given(t=times(), s=times())
        def _(t, s): ...

It raises ``AssertionError`` to fail and ``Skip`` to say why it does not apply. Its docstring is the invariant.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import attrs

from jvid.errors import InputError
from jvid.extras import extra
from jvid.testing.trial import Trial

__all__ = [
    "CHECKS",
    "GLOBALS",
    "KINDS",
    "REFERENCE",
    "Check",
    "check",
    "checks_of",
    "declare",
    "options_of",
]

KINDS = (
    "schedule", "denoiser", "wrapper", "selector", "noise", "solver", "grid", "sampler", "postprocessor", "features",
    "metric", "plugin",
)  # fmt: skip
"""The kinds with checks of their own, each in ``jvid.testing.checks.<kind>``."""

GLOBALS = "globals_untouched"
"""The check that every kind has: it looks at what all the others saw."""

REFERENCE = "as_referenced"
"""The check that compares values with a declared reference."""

CheckFunction = Callable[[Any, Trial], None]


@attrs.frozen
class Check:
    """One invariant of a kind: the function that checks it, and its text."""

    kind: str
    name: str
    invariant: str
    run: CheckFunction = attrs.field(repr=False)


CHECKS: dict[str, dict[str, Check]] = {}
"""Check by name, by kind; of the kinds loaded so far. ``checks_of`` loads one."""

_OPTIONS: dict[str, dict[str, Any]] = {}


def check(kind: str) -> Callable[[CheckFunction], CheckFunction]:
    """Register a function as a check of ``kind``, under its own name; its docstring is the invariant.

    Raises:
        InputError: without a docstring, or a name that the kind has already.
    """

    def register(function: CheckFunction) -> CheckFunction:
        name: str = function.__name__
        text = " ".join((function.__doc__ or "").split())
        if not text:
            raise InputError(f"check {name!r} of {kind} has no invariant: give it a docstring")
        if name == GLOBALS or name in CHECKS.setdefault(kind, {}):
            raise InputError(f"check {name!r} of {kind} exists already: give this one another name")
        CHECKS[kind][name] = Check(kind, name, text, function)
        return function

    return register


def declare(kind: str, **options: Any) -> None:
    """Declare the options that a kind's checks read (``trial.option(name)``), with their defaults."""
    _OPTIONS.setdefault(kind, {}).update(options)


def checks_of(kind: str) -> dict[str, Check]:
    """The checks of a kind by name, in order; the last is ``globals_untouched``.

    Raises:
        InputError: a kind without checks.
        MissingDependencyError: hypothesis is not installed.
    """
    if kind in KINDS and importlib.util.find_spec(f"jvid.testing.checks.{kind}") is not None:
        with extra("testing"):  # for every module of checks: they import hypothesis freely
            importlib.import_module(f"jvid.testing.checks.{kind}")
    if kind not in CHECKS:
        there = [
            name for name in KINDS if importlib.util.find_spec(f"jvid.testing.checks.{name}") is not None
        ]
        raise InputError(
            f"no checks for {kind!r}: expected one of {', '.join(dict.fromkeys([*there, *CHECKS]))}"
        )
    own = f"jvid.testing.checks.{kind}"  # what every other check takes for granted comes first
    found = dict(sorted(CHECKS[kind].items(), key=lambda item: item[1].run.__module__ != own))
    if REFERENCE in found:  # what is broken in form fails here as well, and shows above in its own words
        found[REFERENCE] = found.pop(REFERENCE)
    return {
        **found,
        GLOBALS: Check(kind, GLOBALS, _globals_untouched.__doc__ or "", _globals_untouched),
    }


def options_of(kind: str) -> dict[str, Any]:
    """The options that a kind's checks read, with their defaults."""
    return dict(_OPTIONS.get(kind, {}))


def _globals_untouched(subject: Any, trial: Trial) -> None:
    """No check saw the subject change a global random generator, torch's default dtype or its grad mode."""
    assert not trial.leaks, f"it changed {' and '.join(dict.fromkeys(trial.leaks))}"
