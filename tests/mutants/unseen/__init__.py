"""Mistakes that were written before any was run against a check: what the kit finds of faults that no check was written for.

Each is a right component of the field with one slip, such as a review would find. ``python -m tests.mutants.unseen`` runs all
checks of the kind on each, once with what a contributor declares of necessity (sizes, conditions, data), and once with a
reference and its ranges beside. A mutant counts as killed if any check fails.

The first generation was unseen when it was first counted. Checks were added since with its survivors in view, so that it is seen
now. The second generation was written after these checks and before any of it was run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

__all__ = ["GENERATIONS", "UNSEEN", "Unseen", "all_unseen", "unseen"]

Build = TypeVar("Build", bound=Callable[..., Any])

GENERATIONS = {
    1: (
        "schedules", "selectors", "solvers", "noise", "wrappers", "postprocessors", "denoisers", "grids", "media", "samplers",
    ),
    2: ("second.levels", "second.latents", "second.runs"),
}  # fmt: skip
"""The modules of each."""


@attrs.frozen(eq=False)
class Unseen:
    """A wrong component.

    Attributes:
        kind: whose checks it is run against.
        name: its own.
        build: makes it.
        why: the slip, in a sentence.
        context: what is declared of necessity.
        declared: reference and ranges.
        generation: 1 or 2.
    """

    kind: str
    name: str
    build: Callable[[], Any]
    why: str
    context: Mapping[str, Any]
    declared: Mapping[str, Any]
    generation: int = 1


UNSEEN: list[Unseen] = []


def unseen(
    kind: str, *, reference: Any = None, ranges: Mapping[str, Any] | None = None, factory: bool = False, **context: Any
) -> Callable[[Build], Build]:  # fmt: skip
    """Register what it decorates: a class or function that makes the component, or with ``factory`` the wrapper itself."""

    def register(build: Build) -> Build:
        declared = {"reference": reference, **({"ranges": ranges} if ranges else {})} if reference else {}
        make: Callable[[], Any] = (lambda: build) if factory else build
        why = " ".join((build.__doc__ or "").split())
        assert why, f"{build.__name__} does not say its slip"
        generation = 2 if ".second." in build.__module__ else 1
        UNSEEN.append(Unseen(kind, build.__name__, make, why, context, declared, generation))
        return build

    return register


def all_unseen() -> list[Unseen]:
    """All of them, in order."""
    for modules in GENERATIONS.values():
        for module in modules:
            importlib.import_module(f"tests.mutants.unseen.{module}")
    return UNSEEN
