"""A model's output, turned into x_0 on any schedule, x = alpha x_0 + sigma eps, as diffusers' schedulers do on theirs.

    eps:       x_0 = (x - sigma eps) / alpha
    x0:        x_0 = the output
    v:         v = a eps - s x_0,    x_0 = (a x - s r v) / r,    a = alpha / r, s = sigma / r, r = hypot(alpha, sigma)
    flow:      v = eps - x_0,        x_0 = (x - sigma v) / (alpha + sigma)
    back:      v = x_0 - eps         (Mochi)
    edm:       x_0 = c_skip x + c_out F at alpha = 1 (Karras et al. 2022, arXiv 2206.00364, table 1), edm-v with F = -v

v is defined at the angle of (alpha, sigma), so that it is the same on a schedule that explodes.
"""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError

__all__ = ["OutputKind"]


@attrs.frozen
class OutputKind:
    """What a model's output is.

    Attributes:
        name: "eps", "x0", "v", "flow", "back", "edm" or "edm-v".
        std: the data's deviation of EDM's preconditioning.
        clip: x_0 is kept within -clip and clip; None is not at all.
    """

    name: str
    std: float = 1.0
    clip: float | None = None

    def x_0(self, x: Tensor, output: Tensor, alpha: float, sigma: float) -> Tensor:
        """x ``(b c f h w)`` and the output of its shape, at one level -> x_0, in x's dtype.

        Raises:
            InputError: the level does not determine x_0.
        """
        found = self._formed(x, output, alpha, sigma)
        return found if self.clip is None else found.clamp(-self.clip, self.clip)

    def _formed(self, x: Tensor, output: Tensor, alpha: float, sigma: float) -> Tensor:
        if self.name == "x0":
            return output
        if self.name == "eps":
            if alpha == 0.0:
                raise InputError(
                    "an eps prediction was requested where alpha = 0 and x holds no signal; expected alpha > 0: start the grid "
                    "lower, or use a network that predicts v, flow or x0"
                )
            return torch.sub(x, output, alpha=sigma).div_(alpha)
        if self.name == "v":
            r = math.hypot(alpha, sigma)
            return (x * (alpha / r / r)).sub_(output, alpha=sigma / r)
        if self.name in ("flow", "back"):
            found = torch.sub(x, output, alpha=sigma if self.name == "flow" else -sigma)
            return found if alpha + sigma == 1.0 else found.div_(alpha + sigma)
        n = math.hypot(sigma, self.std)
        sign = 1.0 if self.name == "edm" else -1.0
        return (x * (self.std / n) ** 2).add_(output, alpha=sign * sigma * self.std / n)
