"""UniPC: a predictor over past predictions, corrected by the next one, in lambda = log(alpha / sigma).

    x_s = (sigma_s / sigma_t) x_t - alpha_s (e^-h - 1) x_0 - alpha_s B sum_m rho_m D_m / r_m,   h = lambda_s - lambda_t

D_m = x_0^m - x_0 are differences to past predictions at r_m = (lambda_m - lambda_t) / h; the rho solve the order
conditions of the paper's equation (6); B = -h (bh1) or e^-h - 1 (bh2). Once x_0 at the end is known, the same
step is taken again with it (r = 1): the corrector, which costs no evaluation.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import attrs
import numpy as np
from torch import Tensor

from jvid.core.levels import working_dtype
from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.errors import InputError
from jvid.solvers.history import EMPTY, Entry, History, Mode, check_mode, log_snr, within_reach
from jvid.solvers.kernel import coefficients, draws, transition

__all__ = ["UniPC"]

Variant = Literal["bh1", "bh2"]


@attrs.frozen(eq=False)
class Memory:
    """Past predictions; where the last step began, its order, and where it was meant to end."""

    history: History = EMPTY
    x: Tensor | None = None
    past: tuple[Entry, ...] = ()
    order: int = 0
    end: Level | None = None


@attrs.frozen
class UniPC:
    """UniPC (Zhao et al. 2023, arXiv 2302.04867) in data prediction: diffusers' ``UniPCMultistepScheduler``.

    ``solver_order`` past and present predictions make a step, and ``lower_order_final``: the last steps fewer, which is
    steadier where steps are few. ``history``: what happens to the past where the experts change, see
    ``jvid.solvers.history``; unless it is "ignore", a step is then not corrected by another expert's prediction.
    """

    solver_order: int = 2
    variant: Variant = "bh2"
    lower_order_final: bool = True
    history: Mode = "per-expert"

    def __attrs_post_init__(self) -> None:
        if self.solver_order not in (1, 2, 3):
            raise InputError(f"UniPC got solver_order={self.solver_order!r}; expected 1, 2 or 3")
        if self.variant not in get_args(Variant):
            raise InputError(f"UniPC got variant={self.variant!r}; expected bh1 or bh2")
        check_mode("UniPC", self.history)

    @property
    def order(self) -> int:
        """2, which the last step allows; 3 without ``lower_order_final``, which the first step allows."""
        return 2 if self.lower_order_final or self.solver_order == 1 else 3

    def draws_noise(self, step: Step) -> bool:
        """Whether the step adds noise."""
        return draws(step.start, step.end, 0.0)

    def init(self) -> Memory:
        """No prediction yet."""
        return Memory()

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``; one evaluation."""
        start, end = step.start, step.end
        x_0 = denoise(x, start)
        foreign = step.switched and self.history != "ignore"
        if memory.x is not None and memory.end == start and not foreign:
            x = _update(memory.x, memory.past, start, memory.order, self.variant, x_0)
        past = within_reach(step, memory.history.recall(step, self.history))
        history = memory.history.add(step, self.history, x_0, length=self.solver_order - 1 or 1)
        if not math.isfinite(log_snr(start)) or not math.isfinite(log_snr(end)) or start.angle == end.angle:
            return transition(x, x_0, start, end, 0.0, noise), Memory(history)
        left = step.count - step.index if self.lower_order_final else self.solver_order
        order = min(self.solver_order, left, len(past) + 1)
        used = (Entry(step.index, start, x_0), *past)[:order]
        return _update(x, used, end, order, self.variant, None), Memory(history, x, used, order, end)


def _update(
    x: Tensor, known: tuple[Entry, ...], end: Level, order: int, variant: Variant, x_0_end: Tensor | None
) -> Tensor:
    """x at ``known[0].level`` -> x at ``end``: the predictor, or with ``x_0_end`` the corrector."""
    start, dtype = known[0].level, working_dtype(x)
    h = log_snr(end) - log_snr(start)
    ratios = [(log_snr(entry.level) - log_snr(start)) / h for entry in known[1:order]]
    rho, b_h = _rho([*ratios, 1.0], h, variant, corrects=x_0_end is not None)
    c_x, c_0, _ = coefficients(start, end, 0.0)
    base = known[0].value.to(dtype)
    out = base * c_0
    out += x.to(dtype) * c_x
    scale = end.alpha * b_h
    for weight, ratio, entry in zip(rho, ratios, known[1:order], strict=False):
        out -= (entry.value.to(dtype) - base) * (scale * weight / ratio)
    if x_0_end is not None:
        out -= (x_0_end.to(dtype) - base) * (scale * rho[-1])
    return out.to(x.dtype)


def _rho(ratios: list[float], h: float, variant: Variant, corrects: bool) -> tuple[list[float], float]:
    """The weights of the differences at ``ratios``, the last of which (1) is the corrector's, and B."""
    order = len(ratios)
    b_h = -h if variant == "bh1" else math.expm1(-h)
    rows = [[ratio**i for ratio in ratios] for i in range(order)]
    right = [-h * _phi(i + 1, -h) * math.factorial(i) / b_h for i in range(1, order + 1)]
    if corrects:
        return ([0.5] if order == 1 else np.linalg.solve(rows, right).tolist()), b_h
    if order == 2:
        return [0.5], b_h  # as the paper and diffusers have it
    solved = np.linalg.solve([row[:-1] for row in rows[:-1]], right[:-1]).tolist() if order > 1 else []
    return solved, b_h


def _phi(k: int, z: float) -> float:
    """``phi_k(z) = (phi_(k-1)(z) - 1 / (k-1)!) / z``, ``phi_0 = exp``: as a series where that would cancel."""
    if abs(z) < 1.0:
        return sum(z**j / math.factorial(j + k) for j in range(18))
    return math.exp(z) if k == 0 else (_phi(k - 1, z) - 1.0 / math.factorial(k - 1)) / z
