"""What the output of a scheduler's network is: x_0 of it, by the formulas of `Parameterized` and `Preconditioned`.

epsilon, sample, v_prediction, flow       eps, x0, v, flow
inverted flow (Mochi), x_0 - eps          flow with sign -1
EDM, its v                                preconditioned by sigma_data, with sign -1 for v
continuous v (Stable Video Diffusion)     the same with sigma_data 1: v at the angle of (alpha, sigma), where alpha is 1
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
import torch
from torch import Tensor

from jvid.denoisers.parameterized import Prediction, no_signal, output_of, x_0_of
from jvid.denoisers.preconditioned import coefficients

__all__ = ["PREDICTIONS", "OutputKind"]

PREDICTIONS: Mapping[str, Prediction] = {
    "epsilon": "eps",
    "v_prediction": "v",
    "sample": "x0",
    "flow_prediction": "flow",
}
"""By the ``prediction_type`` of diffusers' schedulers."""


@attrs.frozen
class OutputKind:
    """What a network's output is.

    Attributes:
        prediction: as of `Parameterized`; of a preconditioned network it is unused.
        std: EDM's sigma_data where the network is preconditioned; None where it is not.
        sign: -1 where the network's output is the negative one.
        clip: x_0 is kept within -clip and clip; None is not at all.
    """

    prediction: Prediction
    std: float | None = None
    sign: int = 1
    clip: float | None = None

    def x_0(self, x: Tensor, output: Tensor, alpha: float, sigma: float) -> Tensor:
        """x ``(b c f h w)`` and the output of its shape, at one level -> x_0, in x's dtype.

        Raises:
            InputError: the level does not determine x_0.
        """
        found = self._formed(x, output, alpha, sigma)
        return found if self.clip is None else found.clamp(-self.clip, self.clip)

    def _formed(self, x: Tensor, output: Tensor, alpha: float, sigma: float) -> Tensor:
        if self.std is not None:
            level = torch.tensor([alpha, sigma], dtype=torch.float64)
            _, skip, out = map(float, coefficients(level[0], level[1], self.std, self.sign))
            return skip * x + out * output
        if self.prediction == "eps" and alpha == 0.0:
            raise no_signal()
        return x_0_of(self.prediction, x, output if self.sign == 1 else -output, alpha, sigma)

    def target(self, x_0: Tensor, eps: Tensor, alpha: float, sigma: float) -> Tensor:
        """What the network is trained to put out at x = alpha x_0 + sigma eps; tensors of one shape."""
        if self.std is not None:
            level = torch.tensor([alpha, sigma], dtype=torch.float64)
            _, skip, out = map(float, coefficients(level[0], level[1], self.std, self.sign))
            return (x_0 - skip * (alpha * x_0 + sigma * eps)) / out
        found = output_of(self.prediction, x_0, eps, alpha, sigma)
        return found if self.sign == 1 else -found

    def gain(self, alpha: float, sigma: float) -> float:
        """|d x_0 / d output| at a level: an error of the network's output is so large an error of x_0; inf without signal."""
        if self.std is not None:
            level = torch.tensor([alpha, sigma], dtype=torch.float64)
            return abs(float(coefficients(level[0], level[1], self.std, self.sign)[2]))
        if self.prediction == "eps":
            return sigma / alpha if alpha else math.inf
        if self.prediction == "v":
            return sigma / (alpha * alpha + sigma * sigma)
        return sigma / (alpha + sigma) if self.prediction == "flow" else 1.0
