"""What a wrapper of a denoiser hands on as it is: the schedule, and what latents mean."""

from __future__ import annotations

from jvid.core.protocols import Denoiser, NoiseSchedule
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
