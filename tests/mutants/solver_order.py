"""Wrong multistep solvers: a letter of the slope, of the history's bookkeeping, of what a switch of experts means.

Each converges to something, most of them at order 1 where 2 is claimed: finite and plausible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.solvers.kernel import coefficients
from tests.mutants import Mutant, add, mutant
from tests.mutants.solver_bases import FirstOrder, Past, TwoSteps


def _slip(check: str, name: str, weight: Callable[[float, float], float], why: str) -> None:
    built = type(name, (TwoSteps,), {"weight": lambda self, h, h_past: weight(h, h_past)})
    add(Mutant("solver", name, check, built, why))


ORDER, UNEVEN, RISING = "order_as_claimed", "order_on_uneven_steps", "order_where_noise_rises"

_slip(ORDER, "no_half", lambda h, h_past: h / h_past, "the half of h / (2 h') is forgotten")
_slip(ORDER, "other_sign", lambda h, h_past: -0.5 * h / h_past, "the slope has the other sign")
_slip(ORDER, "a_third", lambda h, h_past: h / h_past / 3.0, "a third in place of a half")
_slip(
    ORDER, "h_for_its_ratio", lambda h, h_past: 0.5 * h, "h is not divided by the length of the step before"
)
_slip(ORDER, "no_slope", lambda h, h_past: 0.0, "first order that claims second")
# h' / h in place of h / h' is no mutant: its errors, of h'^2 - h^2, cancel from step to step on any grid.
_slip(UNEVEN, "ratio_squared", lambda h, h_past: 0.5 * (h / h_past) ** 2, "the ratio of lengths enters twice")
_slip(
    UNEVEN,
    "equal_steps",
    lambda h, h_past: math.copysign(0.5, h * h_past),
    "steps are taken to be equally long",
)
_slip(UNEVEN, "root_of_the_ratio", lambda h, h_past: 0.5 * abs(h / h_past) ** 0.5, "the root of h / h'")
_slip(UNEVEN, "sum_of_lengths", lambda h, h_past: h / (h + h_past), "h / (h + h'), as in another formula")
_slip(
    RISING,
    "length_without_sign",
    lambda h, h_past: 0.5 * abs(h) / h_past,
    "h has no sign, as if noise always fell",
)
_slip(RISING, "no_slope_upwards", lambda h, h_past: 0.5 * h / h_past if h > 0 else 0.0, "first order upwards")
_slip("order_on_two_modes", "a_quarter", lambda h, h_past: 0.25 * h / h_past, "a quarter in place of a half")


@mutant("solver", ORDER)
class one_too_far_back(TwoSteps):
    """The prediction before the last one, with its own level: the slope is right, the half of it is of another distance."""

    def recalled(self, past: Past) -> tuple[Level, Tensor] | None:
        # Off by one: the level is the last one's.
        return (past[0][0], past[1][1]) if len(past) > 1 else None


@mutant("solver", ORDER)
class keeps_the_first(TwoSteps):
    """The history is never moved on: the past is the first step for ever."""

    def recalled(self, past: Past) -> tuple[Level, Tensor] | None:
        return past[-1] if past else None

    def kept(self, now: tuple[Level, Tensor], past: Past) -> Past:
        return past or (now,)

    def weight(self, h: float, h_past: float) -> float:
        return 0.5


@mutant("solver", ORDER)
class remembers_x(TwoSteps):
    """What is kept is the last blend D, not the prediction: errors are extrapolated, too."""

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Mapping[Any, Past]
    ) -> tuple[Tensor, Mapping[Any, Past]]:
        out, after = super().step(x, step, denoise, noise, memory)
        key = self.key(step)
        return out, {**after, key: ((step.start, 0.5 * (after[key][0][1] + x)),)}


@mutant("solver", "order_across_a_switch")
class ignores_the_switch(TwoSteps):
    """One history for all experts: after a switch it extrapolates from another model."""

    def key(self, step: Step) -> Any:
        return ""


@mutant("solver", "order_across_a_switch")
class held_back_by_one(TwoSteps):
    """After a switch it takes the step with the other expert's last prediction."""

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Mapping[Any, Past]
    ) -> tuple[Tensor, Mapping[Any, Past]]:
        last = memory.get("last")
        if step.switched and last:
            denoise(x, step.start)
            out, after = super().step(x, step, lambda y, level: last[0][1], noise, memory)
        else:
            out, after = super().step(x, step, denoise, noise, memory)
        return out, {**after, "last": after[self.key(step)]}


@mutant("solver", "converges_with_alternating_experts")
class reuses_at_a_switch(FirstOrder):
    """Where the experts switch it saves the evaluation and takes the last prediction again."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        x_0 = memory if step.switched and memory is not None else denoise(x, step.start)
        c_x, c_0, _ = coefficients(step.start, step.end, 0.0)
        return c_x * x + c_0 * x_0, x_0


@mutant("solver", "order_with_blended_experts")
class weighs_again(FirstOrder):
    """The prediction, blended already, is weighed by the dominant expert's weight once more."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        share = step.weights[step.expert]
        return super().step(x, step, lambda y, level: share * denoise(y, level), noise, memory)
