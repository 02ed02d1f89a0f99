"""The base of wrappers, which forwards a denoiser's schedule, latent space and evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from jvid.core.evaluations import evaluations_of
from jvid.core.protocols import Denoiser, Evaluation, NoiseSchedule
from jvid.core.spaces import LatentSpace, space_of
from jvid.errors import InputError

__all__ = ["Wrapper", "check_inner"]


class Wrapper:
    """A wrapper with the schedule and the latent space of its ``denoiser``."""

    __slots__ = ()

    denoiser: Denoiser
    outermost = False
    """Whether other wrappers that change a prediction are to be inside this one."""

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


def check_inner(denoiser: Denoiser, who: str) -> None:
    """Refuse a wrapper inside ``who`` that has to be outermost.

    Raises:
        InputError: it names both.
    """
    inner: object = denoiser
    while isinstance(inner, Wrapper):  # nothing else: a look at its attributes may load a network
        if inner.outermost:
            name = type(inner).__name__
            raise InputError(
                f"{who} around {name} would change what {name} keeps: expected {name} around {who}, {name}({who}(...), ...)"
            )
        inner = inner.denoiser
