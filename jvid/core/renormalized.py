"""A denoiser in a space of the same encoder that is normalised differently.

With z' = a z + b and x = alpha z + sigma eps, the latents a x + alpha b are alpha z' + a sigma eps: those of z' at the angle
atan2(|a| sigma, alpha). At the time t' of that angle on the same schedule they need a factor alone (see `jvid.core.bridged`):

    x' = (a x + alpha b) hypot(alpha', sigma') / hypot(alpha, a sigma),    z = (z' - b) / a
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from jvid.core.evaluations import evaluations_of
from jvid.core.levels import levels_for, require_latents, require_prediction, working_dtype
from jvid.core.protocols import Condition, Denoiser, Evaluation, NoiseSchedule
from jvid.core.spaces import LatentSpace, affine, space_of

__all__ = ["Renormalized", "in_space"]


@attrs.frozen(eq=False)
class Renormalized:
    """``denoiser``, called with latents of ``space``; its own has ``affine`` values ``a`` and ``b`` from there.

    Where the schedule has no level as noisy as the map requires, its noisiest is used.
    """

    denoiser: Denoiser
    space: LatentSpace
    a: float
    b: tuple[float, ...]

    @property
    def schedule(self) -> NoiseSchedule:
        """The inner denoiser's."""
        return self.denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype, in ``space``."""
        require_latents(x, "Renormalized")
        dtype = working_dtype(x)
        alpha, sigma = levels_for(self.schedule, t, x)
        time = self._time(alpha, sigma).reshape(t.shape)
        own_alpha, own_sigma = levels_for(self.schedule, time, x)
        scale = torch.hypot(own_alpha, own_sigma) / torch.hypot(alpha, abs(self.a) * sigma)
        b = torch.tensor(self.b, dtype=dtype, device=x.device).view(1, -1, 1, 1, 1)
        alpha, scale = alpha.to(x.device, dtype), scale.to(x.device, dtype)
        x_own = ((self.a * x.to(dtype) + alpha * b) * scale).to(x.dtype)
        x_0 = require_prediction(self.denoiser(x_own, time, cond), x, "Renormalized")
        return ((x_0.to(dtype) - b) / self.a).to(x.dtype)

    def evaluations(self, t: float, frames: int) -> Sequence[Evaluation]:
        """The denoiser's at its own time."""
        alpha, sigma = self.schedule(torch.tensor(t, dtype=torch.float64))
        return evaluations_of(self.denoiser, float(self._time(alpha, sigma)), frames)

    def _time(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self.schedule.time_at(torch.atan2(abs(self.a) * sigma, alpha))


def in_space(denoiser: Denoiser, space: LatentSpace | None) -> Denoiser:
    """``denoiser`` for latents of ``space``: itself where they are its own, or it declares none."""
    own = space_of(denoiser)
    if space is None or own is None or own == space or (found := affine(space, own)) is None:
        return denoiser
    return Renormalized(denoiser, space, *found)
