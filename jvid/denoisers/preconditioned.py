"""EDM's preconditioning (Karras et al. 2022, arXiv 2206.00364, equation 7 and table 1), on any schedule.

    s = sigma / alpha,   x' = x / alpha        the same latents where variance explodes
    x_0 = c_skip(s) x' + c_out(s) F(c_in(s) x', c_noise(s))

    c_skip = d^2 / (s^2 + d^2),  c_out = s d / sqrt(s^2 + d^2),  c_in = 1 / sqrt(s^2 + d^2),  c_noise = ln(s) / 4

with d the deviation of the data. Written with n = sqrt(sigma^2 + alpha^2 d^2) there is no quotient by alpha:
c_skip x' = alpha d^2 x / n^2,  c_out = sigma d / n,  c_in x' = x / n. At sigma = 0, x_0 is x / alpha and F is not evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from jvid.core.levels import levels_for, require_latents, working_dtype
from jvid.core.modules import Parts, modules_of
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.errors import InputError
from jvid.schedules import VarianceExploding

__all__ = ["Preconditioned", "coefficients"]

RawNetwork = Callable[[Tensor, Tensor, Condition], Tensor]
"""``(c_in x' (b c f h w), c_noise () or (b,), cond) -> F (b c f h w)``, in any floating dtype."""


def coefficients(alpha: Tensor, sigma: Tensor, std: float, sign: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """c_in, c_skip and c_out of x, that is x_0 = c_skip x + c_out F(c_in x), at alpha and sigma in float64.

    ``sign`` is that of c_out.
    """
    n = torch.hypot(sigma, alpha * std)
    return 1.0 / n, alpha * std**2 / n**2, sign * sigma * std / n


@attrs.frozen(eq=False)
class Preconditioned:
    """The denoiser of a ``network`` F that was trained with EDM's preconditioning.

    Args:
        network: F, called with scaled latents and c_noise = ln(sigma / alpha) / 4 in place of t.
        schedule: which x and t of a call are expressed in; EDM's own exploding variance unless another is given.
        std: d, the deviation of the data that F was trained for (EDM's sigma_data).
        sign: -1 for networks whose c_out is the negative one, as Stable Video Diffusion's v-prediction.
        space: of the latents.

    Raises:
        InputError: a deviation that is not above 0, or a sign that is none.
    """

    network: RawNetwork
    schedule: NoiseSchedule = attrs.field(factory=VarianceExploding)
    std: float = attrs.field(default=0.5, converter=float)
    sign: int = 1
    space: LatentSpace | None = None

    def __attrs_post_init__(self) -> None:
        if not 0.0 < self.std < math.inf:
            raise InputError(
                f"Preconditioned got std={self.std:g}; expected the data's deviation, above 0: EDM has 0.5, video 1"
            )
        if self.sign not in (1, -1):
            raise InputError(f"Preconditioned got sign={self.sign!r}; expected 1 or -1")

    @property
    def denoises(self) -> str:
        """What the network declares to see, "clips" or "frames"; clips where it does not."""
        return str(getattr(self.network, "denoises", "clips"))

    def modules(self) -> Parts:
        """Those of the network."""
        return modules_of(self.network)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype.

        Raises:
            InputError: at alpha = 0 (sigma / alpha has no logarithm), or a network that changes the shape.
        """
        require_latents(x, "a denoiser")
        dtype = working_dtype(x)
        alpha, sigma = levels_for(self.schedule, t, x)
        if bool((alpha == 0).any()):
            raise InputError(
                f"a preconditioned network was evaluated at t = {t.max().item():g}, where its noise level is infinite; "
                "expected alpha > 0: start the grid lower"
            )
        clean = sigma == 0
        # Where nothing is added F's part is 0, and any finite level does.
        noise = (torch.where(clean, 1.0, sigma / alpha).log() / 4.0).reshape(t.shape)
        x_t = x.to(dtype)
        if bool(clean.all()):
            return (x_t / alpha.to(x.device, dtype)).to(x.dtype)
        scales = coefficients(alpha, sigma, self.std, self.sign)
        c_in, skip, out = (value.to(x.device, dtype) for value in scales)
        predicted = self.network((c_in * x_t).to(x.dtype), noise, cond)
        if predicted.shape != x.shape:
            raise InputError(
                f"the network returned shape {tuple(predicted.shape)} for latents of shape {tuple(x.shape)}; "
                "expected the same shape"
            )
        return (skip * x_t + out * predicted.to(dtype)).to(x.dtype)
