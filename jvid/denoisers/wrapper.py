"""What a wrapper of a denoiser hands on as it is: the schedule, what latents mean, and what a call evaluates."""

from __future__ import annotations

from collections.abc import Sequence

from jvid.core.evaluations import evaluations_of
from jvid.core.protocols import Denoiser, Evaluation, NoiseSchedule
from jvid.core.spaces import LatentSpace, space_of

__all__ = ["Wrapper"]


class Wrapper:
    """Base of the wrappers that stand on their ``denoiser``'s schedule and in its latent space."""

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
