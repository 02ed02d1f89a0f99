"""Pseudo linear multistep (PLMS): Adams-Bashforth on eps, with DDIM's transfer between levels.

    x_s = alpha_s (x_t - sigma_t e) / alpha_t + sigma_s e,   e = 3/2 e_0 - 1/2 e_1,  (23, -16, 5)/12,  (55, -59, 37, -9)/24

The past that is missing at first comes from one step of the trapezoid ("plms") or from three pseudo Runge-Kutta steps
of four evaluations ("runge-kutta"). The weights belong to steps of equal length in t; where an expert returns after a
gap, they are those of its own steps' distances. A step from alpha = 0, or from or to sigma = 0 at
the start of a run, takes DDIM's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import attrs
from torch import Tensor

from jvid._arrays import working_dtype
from jvid.errors import InputError
from jvid.protocols import Denoise, Noise
from jvid.solvers.history import EMPTY, History, Mode, check_mode
from jvid.solvers.kernel import transition
from jvid.step import Level, Step

__all__ = ["PNDM"]

Start = Literal["plms", "runge-kutta"]


def _weights(nodes: Sequence[float]) -> list[float]:
    """Integrals over [0, 1] of the Lagrange polynomials on ``nodes`` <= 0, whose first is 0."""
    out = []
    for j, node in enumerate(nodes):
        polynomial = [1.0]  # its coefficients, the constant first
        for k, other in enumerate(nodes):
            if k != j:
                shifted, scaled = [0.0, *polynomial], [*polynomial, 0.0]
                polynomial = [(a - other * b) / (node - other) for a, b in zip(shifted, scaled, strict=True)]
        out.append(sum(c / (power + 1) for power, c in enumerate(polynomial)))
    return out


@attrs.frozen
class PNDM:
    """PNDM (Liu et al. 2022, arXiv 2202.09778): diffusers' ``PNDMScheduler``, with and without ``skip_prk_steps``.

    ``start``: "plms" calls the denoiser twice in the first step, "runge-kutta" four times in each of the first three.
    ``history``: what happens to the past where the experts change, see ``jvid.solvers.history``.
    """

    start: Start = "plms"
    history: Mode = "per-expert"

    def __attrs_post_init__(self) -> None:
        if self.start not in get_args(Start):
            raise InputError(f"PNDM got start={self.start!r}; expected plms or runge-kutta")
        check_mode("PNDM", self.history)

    @property
    def order(self) -> int:
        """2: the transfer between levels is of second order in t, whatever the order of the multistep."""
        return 2

    def evaluations(self, step: Step) -> int:
        """1, and more in the first steps of a run."""
        if not _defined(step.start) or step.end.sigma == 0.0:
            return 1
        if self.start == "plms":
            return 2 if step.index == 0 else 1
        return 4 if step.index < 3 else 1

    def init(self) -> History:
        """No prediction yet."""
        return EMPTY

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: History
    ) -> tuple[Tensor, History]:
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``."""
        start, end = step.start, step.end
        x_0 = denoise(x, start)
        if not _defined(start):
            return transition(x, x_0, start, end, 0.0, noise), memory
        dtype = working_dtype(x)

        def eps(x_t: Tensor, level: Level, x_0: Tensor) -> Tensor:
            return (x_t.to(dtype) - level.alpha * x_0.to(dtype)) / level.sigma

        e_0 = eps(x, start, x_0)
        asked = self.evaluations(step)
        if asked == 2:
            ahead = _transfer(x, e_0, start, end)
            e = (e_0 + eps(ahead, end, denoise(ahead, end))) / 2
        elif asked == 4:
            middle = step.level_at((start.t + end.t) / 2)
            at = _transfer(x, e_0, start, middle)
            e_1 = eps(at, middle, denoise(at, middle))
            at = _transfer(x, e_1, start, middle)
            e_2 = eps(at, middle, denoise(at, middle))
            at = _transfer(x, e_2, start, end)
            e_3 = eps(at, end, denoise(at, end))
            e = (e_0 + 2 * e_1 + 2 * e_2 + e_3) / 6
        else:
            rising = end.angle > start.angle
            past = [
                entry
                for entry in memory.recall(step, self.history)
                # A walk that turned round has no past on this way.
                if (entry.level.angle < start.angle) == rising and entry.level.angle != start.angle
            ]
            weights = _weights([0.0, *(float(entry.index - step.index) for entry in past)])
            e = e_0 * weights[0]
            for weight, entry in zip(weights[1:], past, strict=True):
                e += entry.value.to(dtype) * weight
        return _transfer(x, e, start, end), memory.add(step, self.history, e_0, length=3)


def _defined(level: Level) -> bool:
    """Whether eps is known there."""
    return level.alpha > 0.0 and level.sigma > 0.0


def _transfer(x: Tensor, e: Tensor, start: Level, end: Level) -> Tensor:
    """Equation (11) of the paper of PNDM, which is DDIM's step."""
    ratio = end.alpha / start.alpha
    return (x.to(e.dtype) * ratio + e * (end.sigma - ratio * start.sigma)).to(x.dtype)
