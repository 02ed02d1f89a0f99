"""Mistakes that were written before any was run against a check: what the kit finds of faults that no check was written for.

Each is a right component of the field with one slip, such as a review would find. ``python -m tests.mutants.unseen`` runs all
checks of the kind on each, once with what a contributor declares of necessity (sizes, conditions, data), and once with a
reference and its ranges beside. A mutant counts as killed if any check fails. Checks that were added after the first count are
of mutants that were seen by then: ``SEEN`` names those.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

__all__ = ["MODULES", "SEEN", "UNSEEN", "Unseen", "all_unseen", "unseen"]

Build = TypeVar("Build", bound=Callable[..., Any])

MODULES = (
    "schedules", "selectors", "solvers", "noise", "wrappers", "postprocessors", "denoisers", "grids", "media", "samplers",
)  # fmt: skip


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
    """

    kind: str
    name: str
    build: Callable[[], Any]
    why: str
    context: Mapping[str, Any]
    declared: Mapping[str, Any]


UNSEEN: list[Unseen] = []

SEEN = ("LastWindowWins", "TextOfTheBatch", "SixteenFrames", "ProgressByIndex")
"""Those that a check was changed for since: the inner denoiser of a wrapper's reference mixes frames, clips are among others of
other conditions, a denoiser's reference is compared on long clips, and a selector's on uneven steps."""


def unseen(
    kind: str, *, reference: Any = None, ranges: Mapping[str, Any] | None = None, factory: bool = False, **context: Any
) -> Callable[[Build], Build]:  # fmt: skip
    """Register what it decorates: a class or function that makes the component, or with ``factory`` the wrapper itself."""

    def register(build: Build) -> Build:
        declared = {"reference": reference, **({"ranges": ranges} if ranges else {})} if reference else {}
        make: Callable[[], Any] = (lambda: build) if factory else build
        why = " ".join((build.__doc__ or "").split())
        assert why, f"{build.__name__} does not say its slip"
        UNSEEN.append(Unseen(kind, build.__name__, make, why, context, declared))
        return build

    return register


def all_unseen() -> list[Unseen]:
    """All of them, in order."""
    for module in MODULES:
        importlib.import_module(f"tests.mutants.unseen.{module}")
    return UNSEEN
