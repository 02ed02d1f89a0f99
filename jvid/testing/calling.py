"""A subject whose networks' calls are counted, for ``max_calls``."""

from __future__ import annotations

from typing import Any

import attrs

from jvid.errors import InputError
from jvid.testing.budget import Budget, Calling
from jvid.testing.sampling import rebuilt
from jvid.testing.trial import Skip

__all__ = ["CALLED", "calling"]

CALLED = ("denoiser", "sampler", "features")
"""Kinds whose subjects are networks, or run some. Others run none but the kit's own."""


def calling(kind: str, subject: Any, budget: Budget) -> Any:
    """The subject, with the calls of its networks counted where they are limited.

    Raises:
        InputError: a kind without networks, or a sampler whose experts cannot be replaced.
    """
    if budget.max_calls is None:
        return subject
    if kind not in CALLED:
        raise InputError(
            f"{kind} got max_calls={budget.max_calls}: expected none, calls are counted of {', '.join(CALLED)}"
        )
    if kind != "sampler":
        return Calling(subject, budget)
    experts = {
        name: attrs.evolve(expert, denoiser=Calling(expert.denoiser, budget))
        for name, expert in subject.experts.items()
    }
    try:
        return rebuilt(subject, experts=experts)
    except Skip as reason:
        raise InputError(f"max_calls={budget.max_calls} of a {type(subject).__name__}: {reason}") from None
