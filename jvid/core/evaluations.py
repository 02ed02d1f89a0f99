"""What a call of a denoiser evaluates: its networks, with the rows and frames that they see of one clip.

    network                    itself, once: 1 row of f frames
    Guided(network)            once with 2 rows; with 1 outside of its interval
    Guided(network, against)   both, with 1 row each
    Framewise(network)         once with f rows of 1 frame
    Windowed(network)          once for each window, with 1 row of the window's frames

A price of a run is the sum of these over the steps of its plan (``jvid.pipeline.cost``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jvid.core.protocols import DeclaresEvaluations, Evaluation

if TYPE_CHECKING:
    from jvid.core.protocols import Denoiser

__all__ = ["evaluations_of"]


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
