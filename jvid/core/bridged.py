"""A denoiser on a schedule that it was not trained on, by equal angle.

Equations (6)-(7) require that interchangeable models see the same x_0 + z, that is the same
signal-to-noise ratio. For x = alpha x_0 + sigma eps on the outer schedule, let t' be the time at which the
inner schedule has the same angle atan2(sigma', alpha'). Then x' = x hypot(alpha', sigma') / hypot(alpha, sigma)
is exactly alpha' x_0 + sigma' eps, and x_0 needs no change. The angle is finite where log-SNR is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from jvid.core.evaluations import evaluations_of
from jvid.core.levels import levels_for, require_latents, working_dtype
from jvid.core.protocols import Condition, Denoiser, Evaluation, NoiseSchedule
from jvid.core.spaces import LatentSpace, space_of

__all__ = ["Bridged"]

_MOST = 4096


@attrs.frozen(eq=False)
class Bridged:
    """``denoiser``, called with x and t of ``schedule``.

    Where ``schedule`` is noisier than the denoiser's own ever is, the own noisiest level is used. Equal
    schedules pass through unchanged.
    """

    denoiser: Denoiser
    schedule: NoiseSchedule
    _known: dict[float, tuple[float, float]] = attrs.field(factory=dict, init=False, repr=False)

    @property
    def space(self) -> LatentSpace | None:
        """The latent space of the inner denoiser: a bridge changes the noise, never the meaning of latents."""
        return space_of(self.denoiser)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)`` and t ``()`` or ``(b,)`` on ``self.schedule`` -> x_0 of x's shape and dtype."""
        own = self.denoiser.schedule
        if self.schedule == own:
            return self.denoiser(x, t, cond)
        require_latents(x, "Bridged")
        if t.ndim == 0 and x.device.type == t.device.type == "cpu":
            return self._at_one_time(x, t, cond)
        time, scale = self._own(x, t)
        dtype = working_dtype(x)
        # t stays in double precision: rounded to a half it would be another level.
        x_own = (x.to(dtype) * scale.to(x.device, dtype)).to(x.dtype)
        return self.denoiser(x_own, time, cond)

    def evaluations(self, t: float, frames: int) -> Sequence[Evaluation]:
        """The denoiser's at its own time of the same angle."""
        own = self.denoiser.schedule
        if self.schedule != own:
            alpha, sigma = self.schedule(torch.tensor(t, dtype=torch.float64))
            t = float(own.time_at(torch.atan2(sigma, alpha)))
        return evaluations_of(self.denoiser, t, frames)

    def _own(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The inner time of t's shape, and what x is scaled by."""
        alpha, sigma = levels_for(self.schedule, t, x)
        time = self.denoiser.schedule.time_at(torch.atan2(sigma, alpha).reshape(t.shape))
        own_alpha, own_sigma = levels_for(self.denoiser.schedule, time, x)
        return time, torch.hypot(own_alpha, own_sigma) / torch.hypot(alpha, sigma)

    def _at_one_time(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """The same for t ``()``, as a sampler's are: schedules are values, and a run visits few times."""
        known = self._known.get(t.item())
        if known is None:
            time, scale = self._own(x, t)
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[t.item()] = time.item(), scale.item()
        own = torch.full((), known[0], dtype=torch.float64)
        return self.denoiser((x.to(working_dtype(x)) * known[1]).to(x.dtype), own, cond)
