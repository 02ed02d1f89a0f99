"""Implicit sampling: the kernel at eta in [0, 1].

    x_s = a_s x_0 + s_s (sqrt(1 - eta^2 tau) eps + eta sqrt(tau) z)

eta = 0 is deterministic, the exponential Euler step of the probability-flow ODE (on a flow-matching
schedule its Euler step); eta = 1 is DDPM.
"""

from __future__ import annotations

import attrs
from torch import Tensor

from jvid.core.protocols import Denoise, Noise, Step
from jvid.errors import InputError
from jvid.solvers.kernel import draws, transition

__all__ = ["DDIM"]


@attrs.frozen
class DDIM:
    """DDIM (Song et al. 2021, arXiv 2010.02502, equation 16), on any schedule.

    A step to more noise inverts the same map at eta = 0. There is no memory.
    """

    eta: float = attrs.field(default=0.0, converter=float)

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.eta <= 1.0:
            raise InputError(
                f"DDIM got eta={self.eta:g}; expected a number from 0 (deterministic) to 1 (as noisy as DDPM)"
            )

    @property
    def order(self) -> int:
        """1: halving the steps' length halves the error."""
        return 1

    def draws_noise(self, step: Step) -> bool:
        """Whether the step adds noise."""
        return draws(step.start, step.end, self.eta)

    def init(self) -> None:
        """Nothing is remembered."""
        return None

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: None
    ) -> tuple[Tensor, None]:
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``; one evaluation, draws ``noise("z")`` if eta > 0."""
        x_0 = denoise(x, step.start)
        return transition(x, x_0, step.start, step.end, self.eta, noise), None
