"""Wrong solvers that keep state where it does not belong, write on what they are handed, or draw as they like."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import Denoise, Noise, Step
from jvid.solvers.kernel import coefficients
from tests.mutants import mutant
from tests.mutants.solver_bases import Ancestral, FirstOrder, TwoSteps


@mutant("solver", "interleaved_runs_are_apart")
class history_on_the_solver(TwoSteps):
    """The history is kept on the object, and ``init`` empties it: right for one run at a time."""

    def init(self) -> Any:
        self.past: Any = {}
        return None

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        out, self.past = super().step(x, step, denoise, noise, self.past)
        return out, None


@mutant("solver", "a_run_repeats")
class history_never_emptied(TwoSteps):
    """The history is kept on the object and outlives the run."""

    def __init__(self) -> None:
        self.past: Any = {}

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        out, self.past = super().step(x, step, denoise, noise, self.past)
        return out, memory


@mutant("solver", "a_run_repeats")
class counts_its_steps(Ancestral):
    """Noise is named by a counter of its own."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        self.count += 1
        return super().step(x, step, denoise, lambda key: noise(f"z{self.count}"), memory)


@mutant("solver", "a_memory_stays_valid")
class writes_on_its_memory(TwoSteps):
    """The memory is a dict that each step writes on and hands back."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        out, after = super().step(x, step, denoise, noise, memory)
        memory.update(after)
        return out, memory


@mutant("solver", "a_memory_stays_valid")
class writes_on_a_kept_tensor(FirstOrder):
    """A running mean of predictions is kept and updated in place; it moves x a little."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        x_0 = denoise(x, step.start)
        mean = x_0.clone() if memory is None else memory.lerp_(x_0, 0.9)
        c_x, c_0, _ = coefficients(step.start, step.end, 0.0)
        return c_x * x + c_0 * mean, mean


@mutant("solver", "a_split_run_is_the_whole")
class a_memory_of_functions(TwoSteps):
    """The memory holds a function, which cannot be written to a file."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        out, after = super().step(x, step, denoise, noise, memory["get"]() if memory else {})
        return out, {"get": lambda: after}


@mutant("solver", "a_split_run_is_the_whole")
class looks_up_on_the_solver(TwoSteps):
    """The memory is a key to a table on the object: right in any order, lost with the process."""

    def __init__(self) -> None:
        self.table: dict[int, Any] = {}

    def init(self) -> Any:
        return None

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        out, after = super().step(x, step, denoise, noise, self.table.get(memory, {}))
        self.table[len(self.table)] = after
        return out, len(self.table) - 1


@mutant("solver", "memory_is_bounded")
class keeps_everything(TwoSteps):
    """No prediction is ever let go."""

    def kept(self, now: Any, past: Any) -> Any:
        return (now, *past)


@mutant("solver", "tensors_unmutated")
class writes_on_x(FirstOrder):
    """x is scaled in place; the state before is lost."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        x_0 = denoise(x, step.start)
        c_x, c_0, c_z = self.coefficients(step.start, step.end)
        x.mul_(c_x).add_(x_0, alpha=c_0)
        return (x + c_z * noise("z") if c_z else x), memory


@mutant("solver", "tensors_unmutated")
class writes_on_the_prediction(FirstOrder):
    """The prediction is scaled in place: a denoiser that caches it is broken."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        c_x, c_0, c_z = self.coefficients(step.start, step.end)
        out = denoise(x, step.start).mul_(c_0).add_(x, alpha=c_x)
        return (out + c_z * noise("z") if c_z else out), memory


@mutant("solver", "tensors_unmutated")
class writes_on_noise(Ancestral):
    """Noise is scaled in place."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        c_x, c_0, c_z = self.coefficients(step.start, step.end)
        out = c_x * x + c_0 * denoise(x, step.start)
        return (noise("z").mul_(c_z).add_(out) if c_z else out), memory


@mutant("solver", "draws_are_named_and_used")
class always_draws(FirstOrder):
    """An ODE solver that draws noise and multiplies it by 0."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        x_0 = denoise(x, step.start)
        c_x, c_0, c_z = self.coefficients(step.start, step.end)
        return c_x * x + c_0 * x_0 + c_z * noise("z"), memory


@mutant("solver", "draws_are_named_and_used")
class names_by_number(Ancestral):
    """Draws are requested by number."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, denoise, lambda key: noise(step.index), memory)  # type: ignore[arg-type]


@mutant("solver", "draws_are_named_and_used")
class names_by_content(Ancestral):
    """The name of a draw is a function of x."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, denoise, lambda key: noise(f"z{float(x.sum()):.3f}"), memory)


@mutant("solver", "declares_the_noise_that_it_draws")
class declares_none(Ancestral):
    """It declares that it draws nothing, so that noise which shapes its steps is left out as unused."""

    def draws_noise(self, step: Step) -> bool:
        return False


@mutant("solver", "declares_the_noise_that_it_draws")
class declares_by_eta(Ancestral):
    """Noise is declared at every step because eta is 1, at the last one and those of no length as well."""

    def draws_noise(self, step: Step) -> bool:
        return self.eta > 0.0


@mutant("solver", "declares_the_noise_that_it_draws")
class declares_downwards(FirstOrder):
    """An ODE solver declares none, and forgets the steps from sigma = 0 upwards, where there is no eps to keep."""

    def draws_noise(self, step: Step) -> bool:
        return False


@mutant("solver", "globals_untouched")
class global_noise(Ancestral):
    """Noise of torch's global generator."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, denoise, lambda key: torch.randn_like(x), memory)


@mutant("solver", "a_run_repeats")
class unrepeatable_noise(Ancestral):
    """Noise of torch's global generator, seen as runs that differ."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, denoise, lambda key: torch.randn_like(x), memory)


@mutant("solver", "names_of_experts_mean_nothing")
class knows_a_name(FirstOrder):
    """The expert named video is trusted more."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        gain = 1.0 + 0.01 * step.weights.get("video", 0.0)
        return super().step(x, step, lambda y, level: gain * denoise(y, level), noise, memory)


@mutant("solver", "names_of_experts_mean_nothing")
class sorts_names(TwoSteps):
    """The history is filed under the first name of the alphabet."""

    def key(self, step: Step) -> Any:
        return min(step.weights)
