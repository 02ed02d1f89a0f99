"""What a call of a denoiser evaluates: its networks, with the rows and frames that they see of one clip.

    network                    itself, once: 1 row of f frames
    Guided(network)            once with 2 rows; with 1 outside of its interval
    Guided(network, against)   both, with 1 row each
    Framewise(network)         once with f rows of 1 frame
    Windowed(network)          once for each window, with 1 row of the window's frames

A price of a run is the sum of these over the steps of its plan, as often as the solver calls (``jvid.pipeline.cost``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from jvid.core.protocols import DeclaresCost, DeclaresEvaluations, DeclaresNoise, Evaluation
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import Denoiser, Solver, Step

__all__ = ["calls_at", "draws_noise", "evaluations_of", "total_seconds"]

C = TypeVar("C")


def evaluations_of(denoiser: Denoiser, t: float, frames: int) -> tuple[Evaluation, ...]:
    """What one call of ``denoiser`` evaluates; one that does not declare it is a network, evaluated once.

    Args:
        denoiser: a network or wrappers around one.
        t: of the call, on the denoiser's own schedule.
        frames: of the clip, in latents.
    """
    declared: object = denoiser
    if isinstance(declared, DeclaresEvaluations):
        return tuple(declared.evaluations(t, frames))
    return (Evaluation(denoiser, 1, frames),)


def calls_at(solver: Solver[Any] | None, step: Step) -> int:
    """How often a solver calls the denoiser of a step: once where it does not declare it."""
    declared: object = solver
    return declared.evaluations(step) if isinstance(declared, DeclaresCost) else 1


def draws_noise(solver: Any, step: Any) -> bool:
    """Whether a solver draws noise at a step; one that does not declare it may draw at each."""
    return bool(solver.draws_noise(step)) if isinstance(solver, DeclaresNoise) else True


def total_seconds(
    calls: Mapping[C, int], seconds: Mapping[C, float], expert: Callable[[C], str] = str
) -> float:
    """The sum over ``calls`` of their number times the seconds of one.

    Args:
        calls: how many of each.
        seconds: of one of each; those that are not called need none.
        expert: whose call it is, for errors.

    Raises:
        InputError: a call without seconds, or seconds that are negative or not finite.
    """
    total = 0.0
    for call, count in calls.items():
        each = seconds.get(call)
        if not count:
            continue
        if each is None or not 0 <= each < math.inf:
            raise InputError(f"seconds per call of {expert(call)!r}: got {each!r}, expected 0 or more")
        total += count * each
    return total
