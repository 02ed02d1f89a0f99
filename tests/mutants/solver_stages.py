"""Wrong solvers of two stages: where and with what the second stage evaluates, and what it weighs."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from jvid.core.protocols import Denoise, Level, Noise, Step
from tests.mutants import mutant
from tests.mutants.solver_bases import TwoStages

ORDER = "order_as_claimed"


@mutant("solver", ORDER)
class second_stage_from_x(TwoStages):
    """The second stage evaluates with x of the start at the level of the end."""

    def second(self, x: Tensor, euler: Tensor, step: Step, denoise: Denoise) -> Tensor:
        return self.slope(euler, denoise(x, step.end), step.end)


@mutant("solver", ORDER)
class second_stage_at_the_start(TwoStages):
    """The second stage evaluates at the level of the start."""

    def second(self, x: Tensor, euler: Tensor, step: Step, denoise: Denoise) -> Tensor:
        return self.slope(euler, denoise(euler, step.start), step.end)


@mutant("solver", "exact_where_x_0_is_known")
class second_slope_of_the_start(TwoStages):
    """The second slope is computed with sigma of the start."""

    def second(self, x: Tensor, euler: Tensor, step: Step, denoise: Denoise) -> Tensor:
        return (euler - step.end.alpha * denoise(euler, step.end)) / step.start.sigma


@mutant("solver", "exact_where_x_0_is_known")
class no_step_to_the_clean_end(TwoStages):
    """The step to sigma = 0 leaves x as it is."""

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: None
    ) -> tuple[Tensor, None]:
        return (x, None) if step.end.sigma == 0.0 else super().step(x, step, denoise, noise, memory)


@mutant("solver", ORDER)
class two_thirds(TwoStages):
    """The second slope has weight 2/3."""

    half = 2.0 / 3.0


@mutant("solver", ORDER)
class slopes_swapped(TwoStages):
    """The correction has the other sign."""

    half = -0.5


@mutant("solver", "evaluations_as_declared")
class undeclared_stage(TwoStages):
    """Two evaluations a step and one declared: a plan is priced at half."""

    evaluations = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        if name == "evaluations":
            return lambda step: 1
        return super().__getattribute__(name)

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: None
    ) -> tuple[Tensor, None]:
        return TwoStages().step(x, step, denoise, noise, memory)


@mutant("solver", "evaluates_within_the_step")
class asks_off_the_schedule(TwoStages):
    """The second stage evaluates halfway in alpha and sigma, at a level that the schedule does not have."""

    def second(self, x: Tensor, euler: Tensor, step: Step, denoise: Denoise) -> Tensor:
        start, end = step.start, step.end
        middle = Level((start.t + end.t) / 2, (start.alpha + end.alpha) / 2, (start.sigma + end.sigma) / 2)
        return self.slope(euler, denoise(euler, middle), end)


@mutant("solver", "evaluates_within_the_step")
class asks_beyond_the_end(TwoStages):
    """The second stage evaluates a step further on."""

    def second(self, x: Tensor, euler: Tensor, step: Step, denoise: Denoise) -> Tensor:
        further = step.level_at(min(1.0, max(0.0, 2 * step.end.t - step.start.t)))
        return self.slope(euler, denoise(euler, further), step.end)
