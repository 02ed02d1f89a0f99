"""A postprocessor on x_0 at each step: x_0 <- P(D(x, t)), so that what follows is made of the corrected prediction."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from jvid.core.levels import check_interval, require_latents, require_prediction
from jvid.core.protocols import Condition, Denoiser, LatentPostprocessor
from jvid.denoisers.wrapper import Wrapper, check_inner

__all__ = ["Corrected"]


@attrs.frozen(eq=False)
class Corrected(Wrapper):
    """``denoiser`` whose x_0 passes through ``postprocessor``; within ``interval`` of its own t alone, if given."""

    denoiser: Denoiser
    postprocessor: LatentPostprocessor
    interval: tuple[float, float] | None = None

    def __attrs_post_init__(self) -> None:
        check_inner(self.denoiser, "Corrected")
        check_interval("Corrected", self.interval)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        require_latents(x, "Corrected")
        x_0 = require_prediction(self.denoiser(x, t, cond), x, "Corrected")
        if self.interval is None:
            return self.postprocessor(x_0)
        inside = (t >= self.interval[0]) & (t <= self.interval[1])
        if not bool(inside.any()):
            return x_0
        corrected = self.postprocessor(x_0)
        return corrected if bool(inside.all()) else torch.where(inside.view(-1, 1, 1, 1, 1), corrected, x_0)
