"""The base of wrappers, which forwards a denoiser's schedule, latent space and evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from jvid.core.evaluations import evaluations_of
from jvid.core.protocols import Denoiser, Evaluation, NoiseSchedule
from jvid.core.spaces import LatentSpace, space_of

__all__ = ["Wrapper"]


class Wrapper:
    """A wrapper with the schedule and the latent space of its ``denoiser``."""

    __slots__ = ()

    denoiser: Denoiser

    @property
    def schedule(self) -> NoiseSchedule:
        """The inner denoiser's."""
        return self.denoiser.schedule

    @property
    def space(self) -> LatentSpace | None:
        """The inner denoiser's."""
        return space_of(self.denoiser)

    def evaluations(self, t: float, frames: int) -> Sequence[Evaluation]:
        """The inner denoiser's."""
        return evaluations_of(self.denoiser, t, frames)

    @property
    def own_guidance(self) -> float:
        """The inner denoiser's scale of guidance; 1 is none."""
        return float(getattr(self.denoiser, "own_guidance", 1.0))
