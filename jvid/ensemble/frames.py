"""The numbers of frames that clips have, in pixels and in latents, and in a second.

frames = factor * latents + offset        factor 1, offset 0: a latent for each frame
factor 4, offset 1: a causal autoencoder's 4k + 1 frames, of k + 1 latents
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from jvid.errors import InputError

__all__ = ["FrameRule", "check_rates"]


@attrs.frozen
class FrameRule:
    """The numbers of frames that an ensemble can make.

    Attributes:
        factor: frames that a latent frame decodes to.
        offset: 1 where the first latent frame decodes to one frame alone (a causal autoencoder), else 0.
        most: the largest number of frames; None is no limit.

    Raises:
        InputError: a factor below 1, an offset that is not 0 or 1, or a limit below 1.
    """

    factor: int = 1
    offset: int = 0
    most: int | None = None

    def __attrs_post_init__(self) -> None:
        if type(self.factor) is not int or self.factor < 1:
            raise InputError(f"temporal factor {self.factor!r}: expected a whole number, 1 or more")
        if self.offset not in (0, 1) or (self.factor == 1 and self.offset):
            raise InputError(f"offset {self.offset!r}: expected 0, or 1 beside a factor above 1")
        if self.most is not None and (type(self.most) is not int or self.most < 1):
            raise InputError(f"most {self.most!r}: expected a whole number of frames, 1 or more")

    def latents(self, frames: Any) -> int:
        """Latent frames of a clip of ``frames``.

        Raises:
            InputError: no whole number of at least 1, more than the limit, or none that the factor allows.
        """
        if type(frames) is not int or frames < 1:
            raise InputError(f"frames {frames!r}: expected a whole number of frames, 1 or more")
        if self.most is not None and frames > self.most:
            raise InputError(f"frames {frames}: expected at most {self.most}")
        whole, rest = divmod(frames - self.offset, self.factor)
        if rest:
            near = [n for k in (whole, whole + 1) if (n := self.factor * k + self.offset) > 0]
            raise InputError(f"frames {frames}: expected {self}, such as {' or '.join(map(str, near))}")
        return whole + self.offset

    def frames(self, latents: int) -> int:
        """Frames that ``latents`` latent frames decode to."""
        return self.factor * (latents - self.offset) + self.offset

    def __str__(self) -> str:
        if self.factor == 1:
            return "any number"
        return f"{self.factor}k + 1" if self.offset else f"{self.factor}k"


def check_rates(fps: float, experts: Mapping[str, float]) -> None:
    """Refuse experts of clips of another frame rate than that of the ensemble, which was not stated: they disagree on motion.

    Raises:
        InputError: it names the expert.
    """
    for name, rate in experts.items():
        if rate != fps:
            raise InputError(
                f"expert {name!r} makes clips of {rate:g} frames per second, beside {fps:g} of the first expert of clips: "
                "expected one frame rate; state the ensemble's, fps= or --fps, to mix them anyway"
            )
