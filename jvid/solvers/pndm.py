"""Pseudo linear multistep (PLMS): Adams-Bashforth on eps, with DDIM's transfer between levels.

    x_s = alpha_s (x_t - sigma_t e) / alpha_t + sigma_s e,   e = 3/2 e_0 - 1/2 e_1,  (23, -16, 5)/12,  (55, -59, 37, -9)/24

The past that is missing at first comes from one step of the trapezoid ("plms") or from three pseudo Runge-Kutta steps
of four evaluations ("runge-kutta"). Those weights are the ones of equal steps in t, where they are diffusers'; for
others, and where an expert returns after a gap, the same integrals are taken over the true times, so that order 2 holds on any
grid. A step from alpha = 0 or sigma = 0, where eps is not known, is DDIM's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import attrs
from torch import Tensor

from jvid.core.levels import working_dtype
from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.errors import InputError
from jvid.solvers.history import EMPTY, Entry, History, Mode, check_mode
from jvid.solvers.kernel import coefficients, draws, transition

__all__ = ["PNDM"]

Start = Literal["plms", "runge-kutta"]

REACH = 8.0
"""The most that the weights' absolute values may sum to; four equal steps have 6.7. A longer past is cut where a step
is so long against those behind it that their differences would be thrown far ahead."""


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


STEEP = 16.0
"""The most by which sigma / alpha may change in a step of several stages: each multiplies the rounding before it by that."""


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
        if not _bears_stages(step.start, step.end):
            return 1
        if self.start == "plms":
            return 2 if step.index == 0 else 1
        return 4 if step.index < 3 else 1

    def draws_noise(self, step: Step) -> bool:
        """Whether the step adds noise."""
        return draws(step.start, step.end, 0.0)

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
            # From sigma = 0 other noise begins: what eps was before is no past of it.
            return transition(x, x_0, start, end, 0.0, noise), EMPTY
        dtype = working_dtype(x)

        def eps(x_t: Tensor, level: Level, x_0: Tensor) -> Tensor:
            return (x_t.to(dtype) - level.alpha * x_0.to(dtype)) / level.sigma

        e_0 = eps(x, start, x_0)

        def moved(e: Tensor, to: Level) -> Tensor:
            # DDIM's step and what e adds to it: at small alpha_t the two terms with e_0 would cancel.
            c_x, c_0, _ = coefficients(start, to, 0.0)
            out = x_0.to(dtype) * c_0
            out += x.to(dtype) * c_x
            if e is not e_0:
                out += (e - e_0) * (to.sigma - to.alpha * start.sigma / start.alpha)
            return out.to(x.dtype)

        def slope_at(e: Tensor, at: Level) -> Tensor:
            x_t = moved(e, at)
            return eps(x_t, at, denoise(x_t, at))

        count = self.evaluations(step)
        if count == 2:
            e = (e_0 + slope_at(e_0, end)) / 2
        elif count == 4:
            middle = step.level_at((start.t + end.t) / 2)
            e_1 = slope_at(e_0, middle)
            e_2 = slope_at(e_1, middle)
            e = (e_0 + 2 * e_1 + 2 * e_2 + slope_at(e_2, end)) / 6
        else:
            past = memory.recall(step, self.history)
            weights = _over(step, past)
            e = e_0 if len(weights) == 1 else e_0 * weights[0]
            for weight, entry in zip(weights[1:], past, strict=False):
                e += entry.value.to(dtype) * weight
        return moved(e, end), memory.add(step, self.history, e_0, length=3)


def _is_first_entry(step: Step) -> bool:
    """Whether a run ends with this step at the first entry of a table, as published models do."""
    entries = getattr(step.schedule, "timesteps", None)
    return entries is not None and step.index == step.count - 1 and step.end.t * entries <= 1.0 + 1e-6


def _over(step: Step, past: Sequence[Entry]) -> list[float]:
    """The weights of this step's eps and of as much of its past as they bear."""
    start, end = step.start, step.end
    length = end.t - start.t
    if past and (end.sigma == 0.0 or _is_first_entry(step)):
        # The last step of a table's grid is a remainder; diffusers takes it to be as long as the others.
        length = (start.t - past[0].level.t) / (step.index - past[0].index)
    if length == 0.0:
        return [1.0]
    nodes = [0.0, *((entry.level.t - start.t) / length for entry in past)]
    while sum(map(abs, weights := _weights(nodes))) > REACH:
        nodes.pop()
    return weights


def _bears_stages(start: Level, end: Level) -> bool:
    if not (_defined(start) and _defined(end)):
        return False
    one, other = start.sigma * end.alpha, end.sigma * start.alpha
    return max(one, other) <= STEEP * min(one, other)


def _defined(level: Level) -> bool:
    """Whether eps is known there."""
    return level.alpha > 0.0 and level.sigma > 0.0
