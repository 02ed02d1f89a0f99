"""A denoiser on a schedule that it was not trained on, by equal angle.

Equations (6)-(7) ask of interchangeable models that they see the same x_0 + z, that is the same
signal-to-noise ratio. For x = alpha x_0 + sigma eps on the outer schedule, let t' be the time at which the
inner schedule has the same angle atan2(sigma', alpha'). Then x' = x hypot(alpha', sigma') / hypot(alpha, sigma)
is exactly alpha' x_0 + sigma' eps, and x_0 needs no change. The angle is finite where log-SNR is not.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from jvid._arrays import levels_for, require_latents, working_dtype
from jvid.protocols import Condition, Denoiser, NoiseSchedule
from jvid.spaces import LatentSpace, space_of

__all__ = ["Bridged"]


@attrs.frozen(eq=False)
class Bridged:
    """``denoiser``, called with x and t of ``schedule``.

    Where ``schedule`` is noisier than the denoiser's own ever is, the own noisiest level is used. Equal
    schedules pass through unchanged.
    """

    denoiser: Denoiser
    schedule: NoiseSchedule

    @property
    def space(self) -> LatentSpace | None:
        """The inner denoiser's: a bridge changes the noise, never what latents mean."""
        return space_of(self.denoiser)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)`` and t ``()`` or ``(b,)`` on ``self.schedule`` -> x_0 of x's shape and dtype."""
        own = self.denoiser.schedule
        if self.schedule == own:
            return self.denoiser(x, t, cond)
        require_latents(x, "Bridged")
        alpha, sigma = levels_for(self.schedule, t, x)
        time = own.time_at(torch.atan2(sigma, alpha).reshape(t.shape))
        own_alpha, own_sigma = levels_for(own, time, x)
        scale = torch.hypot(own_alpha, own_sigma) / torch.hypot(alpha, sigma)
        dtype = working_dtype(x)
        # t stays in double precision: rounded to a half it would be another level.
        x_own = (x.to(dtype) * scale.to(x.device, dtype)).to(x.dtype)
        return self.denoiser(x_own, time, cond)
