"""Ancestral sampling as k-diffusion has it: down to sigma_down by Euler, back up by noise of sigma_up.

    sigma_up = eta sigma_s sqrt(1 - (sigma_s / sigma_t)^2),  sigma_down^2 = sigma_s^2 - sigma_up^2     (alpha = 1)

In exact arithmetic this is DDIM at the same eta, and at eta = 1 DDPM; s_noise scales the added noise.
"""

from __future__ import annotations

import math

import attrs
from torch import Tensor

from jvid.core.protocols import Denoise, Noise, Step
from jvid.errors import InputError
from jvid.solvers.kernel import draws, transition

__all__ = ["EulerAncestral"]


@attrs.frozen
class EulerAncestral:
    """Euler ancestral (k-diffusion's ``sample_euler_ancestral``), on any schedule. There is no memory."""

    eta: float = attrs.field(default=1.0, converter=float)
    s_noise: float = attrs.field(default=1.0, converter=float)

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.eta <= 1.0:
            raise InputError(f"EulerAncestral got eta={self.eta:g}; expected a number from 0 (Euler) to 1")
        if not 0.0 <= self.s_noise < math.inf:
            raise InputError(
                f"EulerAncestral got s_noise={self.s_noise:g}; expected a finite number, 0 or more"
            )

    @property
    def order(self) -> int:
        """1: halving the steps' length halves the error."""
        return 1

    def draws_noise(self, step: Step) -> bool:
        """Whether the step adds noise."""
        return self.s_noise > 0.0 and draws(step.start, step.end, self.eta)

    def init(self) -> None:
        """Nothing is remembered."""
        return None

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: None
    ) -> tuple[Tensor, None]:
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``; one evaluation, draws ``noise("z")`` if eta > 0."""

        def scaled(key: str) -> Tensor:
            z = noise(key)
            return z if self.s_noise == 1.0 else z * self.s_noise

        return transition(x, denoise(x, step.start), step.start, step.end, self.eta, scaled), None
