"""Ancestral sampling, equations (2) and (5) of the paper: the kernel at eta = 1.

    x_s = (a_s tau) x_0 + (s_s r / s_t) x_t + sigma z,   sigma^2 = s_s^2 tau

sigma is the deviation of the posterior q(x_s | x_t, x_0), "fixed small". gamma and r of section 3.5 shape z,
and so belong to an expert's noise sampler, not to the solver.
"""

from __future__ import annotations

import attrs
from torch import Tensor

from jvid.core.protocols import Denoise, Noise, Step
from jvid.solvers.kernel import draws, transition

__all__ = ["DDPM"]


@attrs.frozen
class DDPM:
    """DDPM with the posterior variance (Ho et al. 2020, arXiv 2006.11239), on any schedule, for steps of any length.

    A step to more noise is the forward process q(x_s | x_t). There is no memory.
    """

    @property
    def order(self) -> int:
        """1: halving the steps' length halves the error."""
        return 1

    def draws_noise(self, step: Step) -> bool:
        """Whether the step adds noise."""
        return draws(step.start, step.end, 1.0)

    def init(self) -> None:
        """Nothing is remembered."""
        return None

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: None
    ) -> tuple[Tensor, None]:
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``; one evaluation, draws ``noise("z")``."""
        x_0 = denoise(x, step.start)
        return transition(x, x_0, step.start, step.end, 1.0, noise), None
