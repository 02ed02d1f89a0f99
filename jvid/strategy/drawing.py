"""Whether a solver's steps draw noise, found by taking them.

A solver does not declare it: what it draws may depend on its options, the step's levels and what came before. So
its steps are taken on one number, with predictions of zero, once with noise of zero and once with noise of one; a step
draws where that makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jvid.core.protocols import Level, Solver, Step

__all__ = ["drawing_steps"]


def drawing_steps(solver: Solver[Any], steps: Iterable[Step]) -> tuple[Step, ...]:
    """Those of a plan's steps at which ``solver`` draws noise that changes the latents; no network runs.

    Only there can a noise sampler do anything. Every step, where the solver does not take them on one number: a
    question must not stop a run that would work.
    """
    steps, found = tuple(steps), []
    x = torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    try:
        with torch.no_grad():
            memory = solver.init()
            for step in steps:
                noisy, _ = solver.step(x, step, _zeros, lambda key: one, memory)
                x, memory = solver.step(x, step, _zeros, lambda key: zero, memory)
                if not torch.equal(noisy, x):
                    found.append(step)
    except Exception:
        return steps
    return tuple(found)


def _zeros(x_t: Tensor, level: Level) -> Tensor:
    return torch.zeros_like(x_t)
