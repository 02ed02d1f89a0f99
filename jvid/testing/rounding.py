"""What bfloat16 costs a right component that computes in the dtype of its latents: roundings times their unit, 2^-8.

x_0 of one formula, c_x x + c_out F        each coefficient, each product, the sum: 5
guidance, null + g (text - null)           each prediction by |1 - g| and |g|, two products and sums: at most 2 |g| + 4
a wrapper around a wrapper                 one more each
a step of a solver, c_x x + c_0 x_0 + c_z z    5 for each evaluation
a mean of frames                           5, as of one formula: sums are of float32 in torch's kernels

Relative to the largest element of the result, at least 1. Mistakes cost more: a time in bfloat16 is another level, x - sigma eps
of little signal loses it by 1 / alpha, a number far from 0 that is added and taken off again loses its own unit.
"""

from __future__ import annotations

from typing import Any

__all__ = ["FORMULA", "SCALES", "UNIT", "of_denoiser", "of_solver"]

UNIT = 2.0**-8
FORMULA = 5.0 * UNIT
"""One formula."""

SCALES = ("scale", "guidance_scale", "guidance", "cfg_scale", "cfg", "weight", "w", "g")
"""Names that the field has for the scale of guidance."""

DEEPEST = 16


def of_denoiser(subject: Any) -> float:
    """Of a denoiser, and of all that it is wrapped in: the dearest of them, and one unit for each of the others."""
    bounds = [FORMULA]
    for _ in range(DEEPEST):
        inner = getattr(subject, "denoiser", None)
        if inner is None:
            break
        scales = [getattr(subject, name, None) for name in SCALES]
        numbers = [abs(float(each)) for each in scales if isinstance(each, (int, float))]
        bounds.append((2.0 * max(numbers) + 4.0) * UNIT if numbers else FORMULA)
        subject = inner
    return max(bounds) + (len(bounds) - 1) * UNIT


def of_solver(subject: Any, step: Any) -> float:
    """Of a step of a solver, by the evaluations that it declares."""
    declared = getattr(subject, "evaluations", None)
    return FORMULA * max(1, declared(step) if declared is not None else 1)
