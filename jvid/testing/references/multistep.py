"""References of multistep solvers, ``(x, step, denoise, noise, past) -> x``; the last of ``past`` is the step before.

A paper's equation holds for the steps that it is about: PLMS for steps of equal length, those in lambda = log(alpha / sigma)
where lambda is finite; elsewhere a step is of first order, or nothing is stated of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from jvid.core.protocols import Level, Step
from jvid.testing.referenced import Past
from jvid.testing.references.solvers import Denoise, Noise, ddim, vp

__all__ = ["dpmpp_2m", "dpmpp_2m_sde", "pndm", "unipc"]

FAR = 7.9
"""A step of more than eight times its past in lambda is not extrapolated from that; nothing is stated of it here."""


def _log_snr(level: Level) -> float:
    if level.alpha == 0.0 or level.sigma == 0.0:
        return math.inf if level.alpha else -math.inf
    return math.log(level.alpha) - math.log(level.sigma)


def _is_finite(*levels: Level) -> bool:
    return all(math.isfinite(_log_snr(level)) for level in levels)


def dpmpp_2m(
    x: Tensor, step: Step, denoise: Denoise, noise: Noise, past: Sequence[Past], *, form: str = "midpoint", history: str = ""
) -> Tensor | None:  # fmt: skip
    """Lu et al. 2022, arXiv 2211.01095, algorithm 2; diffusers' ``DPMSolverMultistepScheduler`` for the second form."""
    return dpmpp_2m_sde(x, step, denoise, noise, past, eta=0.0, form=form)


def dpmpp_2m_sde(
    x: Tensor,
    step: Step,
    denoise: Denoise,
    noise: Noise,
    past: Sequence[Past],
    *,
    eta: float = 1.0,
    form: str = "midpoint",
    history: str = "",
) -> Tensor | None:
    """k-diffusion, ``sample_dpmpp_2m_sde``, in x / alpha; ``history`` changes nothing while one expert predicts."""
    start, end = step.start, step.end
    x_0 = denoise(x, start)
    q = (start.alpha * end.sigma) / (end.alpha * start.sigma)  # exp(-h)
    weight: float = 1.0 - q ** (1.0 + eta)
    correction = 0.0 * x
    if past and _is_finite(start, end, past[-1].step.start):
        h, before = -math.log(q), _log_snr(start) - _log_snr(past[-1].step.start)
        if h > FAR * before:
            return None
        slope = (x_0 - past[-1].x_0) * h / before
        both = (1.0 + eta) * h
        correction = slope * (weight / 2.0 if form == "midpoint" else 1.0 - weight / both)
    kept: float = end.sigma / start.sigma * q**eta
    out = kept * x + end.alpha * (weight * x_0 + correction)
    spread = end.sigma * math.sqrt(1.0 - q ** (2.0 * eta))
    return out + spread * noise() if spread else out


ADAMS = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def pndm(
    x: Tensor, step: Step, denoise: Denoise, noise: Noise, past: Sequence[Past], *, start: str = "plms", history: str = ""
) -> Tensor | None:  # fmt: skip
    """Liu et al. 2022, arXiv 2202.09778, equations 11 to 13, of equal steps; "plms" starts as diffusers' ``skip_prk_steps``."""
    lengths = [each.step.start.t - each.step.end.t for each in (*past[-3:], Past(step, x, x))]
    if step.start.alpha == 0.0 or max(lengths) - min(lengths) > 1e-9:
        return None

    def eps(y: Tensor, level: Level, x_0: Tensor) -> Tensor:
        k, bar, rest = vp(level)
        return (y / k - math.sqrt(bar) * x_0) / math.sqrt(rest)

    def transfer(e: Tensor, to: Level) -> Tensor:
        (k_t, bar_t, rest_t), (k_s, bar_s, rest_s) = vp(step.start), vp(to)
        return k_s * (math.sqrt(bar_s / bar_t) * (x / k_t - math.sqrt(rest_t) * e) + math.sqrt(rest_s) * e)

    def at(e: Tensor, level: Level) -> Tensor:
        y = transfer(e, level)
        return eps(y, level, denoise(y, level))

    e_1 = eps(x, step.start, denoise(x, step.start))
    steep = (
        step.end.sigma == 0.0 or step.start.sigma * step.end.alpha > 15.9 * step.end.sigma * step.start.alpha
    )
    if start == "plms" and not past:
        if steep:
            return None
        return transfer((e_1 + at(e_1, step.end)) / 2.0, step.end)
    if start == "runge-kutta" and len(past) < 3 and step.end.sigma > 0.0:
        if steep:
            return None
        middle = step.level_at((step.start.t + step.end.t) / 2.0)
        e_2 = at(e_1, middle)
        e_3 = at(e_2, middle)
        return transfer((e_1 + 2.0 * e_2 + 2.0 * e_3 + at(e_3, step.end)) / 6.0, step.end)
    known = [e_1, *(eps(each.x, each.step.start, each.x_0) for each in reversed(past[-3:]))]
    slope = 0.0 * x
    for weight, e in zip(ADAMS[len(known)], known, strict=True):
        slope = slope + weight * e
    return transfer(slope, step.end)


def unipc(
    x: Tensor,
    step: Step,
    denoise: Denoise,
    noise: Noise,
    past: Sequence[Past],
    *,
    solver_order: int = 2,
    variant: str = "bh2",
    lower_order_final: bool = True,
    history: str = "",
) -> Tensor | None:
    """Zhao et al. 2023, arXiv 2302.04867; diffusers' ``multistep_uni_p_bh_update`` and ``multistep_uni_c_bh_update``."""

    def order(of: Step) -> int:
        seen = sum(_is_finite(each.step.start) for each in past[: of.index]) + 1
        return min(solver_order, seen, of.count - of.index if lower_order_final else solver_order)

    x_0 = denoise(x, step.start)
    corrected: Tensor | None = None
    for each in (*past, Past(step, x, x_0)):
        now, before = each.step, past[each.step.index - 1] if each.step.index else None
        moves = before is not None and _is_finite(before.step.start, before.step.end)
        y = each.x
        if moves and before is not None and corrected is not None:
            behind = [e for e in past[: before.step.index] if _is_finite(e.step.start)][::-1]
            y = _update(corrected, before, behind, now.start, order(before.step), variant, each.x_0)
        if _is_finite(now.start) and _too_far(now, past[: now.index]):
            return None
        corrected = y
    assert corrected is not None
    if not _is_finite(step.start, step.end):
        return ddim(corrected, step, lambda _, __: x_0, noise)
    behind = [each for each in past if _is_finite(each.step.start)][::-1]
    return _update(corrected, Past(step, x, x_0), behind, step.end, order(step), variant, None)


def _too_far(step: Step, past: Sequence[Past]) -> bool:
    """Whether a step is too long against the one before it."""
    if not past or not _is_finite(step.start, step.end, past[-1].step.start):
        return False
    now = _log_snr(step.start)
    return _log_snr(step.end) - now > FAR * (now - _log_snr(past[-1].step.start))


def _update(
    x: Tensor,
    last: Past,
    behind: Sequence[Past],
    end: Level,
    order: int,
    variant: str,
    x_0_end: Tensor | None,
) -> Tensor:
    start = last.step.start
    lambda_0, h = _log_snr(start), _log_snr(end) - _log_snr(start)
    used = behind[: order - 1]
    ratios = [(_log_snr(each.step.start) - lambda_0) / h for each in used]
    differences = [(each.x_0 - last.x_0) / ratio for each, ratio in zip(used, ratios, strict=True)]
    phi_1 = math.expm1(-h)
    b_h = -h if variant == "bh1" else phi_1
    phi, factorial, right = phi_1 / -h - 1.0, 1, []
    for i in range(1, order + 1):
        right.append(phi * factorial / b_h)
        factorial *= i + 1
        phi = phi / -h - 1.0 / factorial
    nodes = np.array([*ratios, 1.0])
    matrix = np.stack([nodes**i for i in range(order)])
    out = end.sigma / start.sigma * x - end.alpha * phi_1 * last.x_0
    if x_0_end is None:
        weights = [0.5] if order == 2 else np.linalg.solve(matrix[:-1, :-1], right[:-1]) if order > 2 else []
    else:
        weights = [0.5] if order == 1 else np.linalg.solve(matrix, right)
        differences.append(x_0_end - last.x_0)
    for weight, difference in zip(weights, differences, strict=True):
        out = out - end.alpha * b_h * float(weight) * difference
    return out
