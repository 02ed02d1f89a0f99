"""Wrong components, each the mistake of a careless contributor, and the check that must see it.

A check that kills no mutant proves nothing. ``python -m tests.mutants [KIND ...]`` runs each mutant against the check
that is meant for it and counts.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar
from unittest import mock

import attrs

from jvid.errors import InputError
from jvid.testing import trial
from jvid.testing.checking import KINDS, checks_of
from jvid.testing.conforms import conforms

__all__ = ["MUTANTS", "Hunt", "Mutant", "hunt", "mutant", "mutants_of"]

Build = TypeVar("Build", bound=Callable[..., Any])


@attrs.frozen(eq=False)
class Mutant:
    """A wrong component.

    Attributes:
        kind: whose checks it is run against.
        name: its own.
        check: the one that must fail.
        build: makes it.
        why: the mistake, in a sentence.
        context: options of ``conforms``, such as sizes.
    """

    kind: str
    name: str
    check: str
    build: Callable[[], Any]
    why: str
    context: Mapping[str, Any] = attrs.field(factory=dict)


MUTANTS: dict[str, dict[str, Mutant]] = {}
"""Mutant by name, by kind; of the kinds loaded so far. ``mutants_of`` loads one."""


def mutant(kind: str, check: str, **context: Any) -> Callable[[Build], Build]:
    """Register what it decorates, a class or a function without arguments, as a mutant that ``check`` must kill.

    Its name is the mutant's, its docstring the mistake.
    """

    def register(build: Build) -> Build:
        add(Mutant(kind, build.__name__, check, build, " ".join((build.__doc__ or "").split()), context))
        return build

    return register


def add(one: Mutant) -> None:
    """Register a mutant.

    Raises:
        InputError: the kind has one of its name, or it does not say what is wrong.
    """
    if not one.why:
        raise InputError(f"mutant {one.name!r} of {one.kind} does not say its mistake: give it a docstring")
    if one.name in MUTANTS.setdefault(one.kind, {}):
        raise InputError(f"mutant {one.name!r} of {one.kind} exists already: give this one another name")
    MUTANTS[one.kind][one.name] = one


def mutants_of(kind: str) -> tuple[Mutant, ...]:
    """The mutants of a kind.

    Raises:
        InputError: a kind without checks.
    """
    if kind not in KINDS:
        raise InputError(f"no mutants of {kind!r}: expected one of {', '.join(KINDS)}")
    for module in (kind, "referenced", "in_use", "properties"):
        importlib.import_module(f"tests.mutants.{module}")
    return tuple(MUTANTS.get(kind, {}).values())


@attrs.frozen
class Hunt:
    """Which mutants were killed, and which checks no mutant is meant for.

    Attributes:
        killed: mutant to the detail of the failure.
        survivors: mutant to the status of its check.
        idle: checks, as ``kind.check``, without a mutant.
    """

    killed: Mapping[Mutant, str]
    survivors: Mapping[Mutant, str]
    idle: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """All are dead, and every check has killed."""
        return not self.survivors and not self.idle

    def __str__(self) -> str:
        per_check: dict[tuple[str, str], list[int]] = {}
        for found, dead in ((self.killed, 1), (self.survivors, 0)):
            for one in found:
                count = per_check.setdefault((one.kind, one.check), [0, 0])
                count[0] += dead
                count[1] += 1
        width = max((len(f"{kind}.{name}") for kind, name in per_check), default=0)
        lines = [
            f"{f'{kind}.{name}':{width}}  {dead}/{all_}" for (kind, name), (dead, all_) in per_check.items()
        ]
        lines += [
            f"survivor: {one.kind} {one.name} ({one.check} {status})"
            for one, status in self.survivors.items()
        ]
        lines += [f"no mutant: {name}" for name in self.idle]
        total = len(self.killed) + len(self.survivors)
        return "\n".join([*lines, f"killed {len(self.killed)} of {total} mutants, {len(per_check)} checks"])


def hunt(kinds: Collection[str] = KINDS, examples: int = 25) -> Hunt:
    """Run each mutant of the kinds against the check that is meant for it; the examples that kill are not made small.

    Raises:
        InputError: a kind without checks, or a mutant of a check that is not there.
        MissingDependencyError: hypothesis is not installed.
    """
    killed: dict[Mutant, str] = {}
    survivors: dict[Mutant, str] = {}
    idle: list[str] = []
    for kind in kinds:
        mutants = mutants_of(kind)
        for one in mutants:
            with mock.patch.object(trial, "FEW", examples):
                report = conforms(kind, one.build(), only=[one.check], examples=examples, **one.context)
            outcome = report[one.check]
            if outcome.status == "failed":
                killed[one] = outcome.detail
            else:
                survivors[one] = f"{outcome.status} {outcome.detail}".rstrip()
        aimed = {one.check for one in mutants}
        idle += [f"{kind}.{name}" for name in checks_of(kind) if name not in aimed]
    return Hunt(killed, survivors, tuple(idle))
