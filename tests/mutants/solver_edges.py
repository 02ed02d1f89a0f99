"""Wrong solvers of first order: steps left out, levels mixed up, ends of a schedule, dtypes and batches."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.solvers.kernel import coefficients
from tests.mutants import mutant
from tests.mutants.solver_bases import Ancestral, Coefficients, FirstOrder

EXACT = "exact_where_x_0_is_known"


@mutant("solver", EXACT)
class clips_x_0(FirstOrder):
    """Predictions are clipped to [-1, 1], as images are and latents are not."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, lambda y, level: denoise(y, level).clamp(-1.0, 1.0), noise, memory)


@mutant("solver", EXACT)
class drops_the_last_step(FirstOrder):
    """The last step is left out."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return (x, memory) if step.index == step.count - 1 else super().step(x, step, denoise, noise, memory)


@mutant("solver", EXACT)
class cleans_at_the_last_step(FirstOrder):
    """The last step returns the prediction, wherever it ends."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        out = super().step(x, step, denoise, noise, memory)
        # Every run of fewer steps has another last one.
        return (denoise(x, step.start), memory) if step.index >= step.count - 2 else out


@mutant("solver", EXACT)
class level_of_the_step_before(FirstOrder):
    """eps is computed with the level before the step's own."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        c_x, c_0, _ = coefficients(memory or step.start, step.end, 0.0)
        return c_x * x + c_0 * denoise(x, step.start), step.start


@mutant("solver", EXACT)
class own_generator(FirstOrder):
    """Noise comes from a generator of its own, seeded the same each time: one clip's noise is every clip's."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        c_x, c_0, c_z = coefficients(step.start, step.end, 1.0)
        z = torch.randn(x.shape, generator=torch.Generator().manual_seed(step.index), dtype=x.dtype)
        return c_x * x + c_0 * denoise(x, step.start) + c_z * z, memory


@mutant("solver", "a_step_of_no_length_is_nothing")
class jitters(FirstOrder):
    """A little noise is taken off and put on at every step, also where nothing is to be done."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        x, _ = super().step(x, step, denoise, noise, memory)
        return x + 0.01 * step.end.sigma * noise("z"), memory


@mutant("solver", "a_step_of_no_length_is_nothing")
class renoises(Ancestral):
    """x is the prediction with new noise, whatever the length of the step."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        return 0.0, end.alpha, end.sigma


@mutant("solver", "finite_on_any_walk")
class divides_by_sigma(FirstOrder):
    """sigma of the end over sigma of the start, which is 0 at the clean end."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        ratio = end.sigma / start.sigma
        return ratio, end.alpha - ratio * start.alpha, 0.0


@mutant("solver", "finite_on_any_walk")
class divides_by_alpha(FirstOrder):
    """DDIM in eps: x is divided by alpha, which is 0 in pure noise."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        start, end = step.start, step.end
        if start.sigma == 0.0:
            return super().step(x, step, denoise, noise, memory)
        eps = (x - start.alpha * denoise(x, start)) / start.sigma
        return end.alpha * ((x - start.sigma * eps) / torch.tensor(start.alpha)) + end.sigma * eps, memory


@mutant("solver", "finite_on_any_walk")
class log_snr_at_the_ends(FirstOrder):
    """Steps in lambda = log(alpha / sigma), infinite at both ends."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        low = torch.tensor([start.alpha, end.alpha]).log() - torch.tensor([start.sigma, end.sigma]).log()
        h = float(low[1] - low[0])
        ratio = end.alpha / start.alpha * math.exp(-h) if start.alpha else 0.0
        return ratio, end.alpha - ratio * start.alpha, 0.0


@mutant("solver", "same_on_any_scale")
class limits_x(FirstOrder):
    """x is held within [-6, 6], which is nothing where variance is preserved and everything where it explodes."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        x, _ = super().step(x, step, denoise, noise, memory)
        return x.clamp(-6.0, 6.0), memory


@mutant("solver", "dtype_and_shape_kept")
class promotes(FirstOrder):
    """Computes in float64 and stays there."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        x, _ = super().step(x, step, denoise, noise, memory)
        return x.double(), memory


@mutant("solver", "dtype_and_shape_kept")
class asks_in_double(FirstOrder):
    """Asks with float64 latents, which a network in float32 cannot take."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, lambda y, level: denoise(y.double(), level).to(y.dtype), noise, memory)


@mutant("solver", "coefficients_in_double")
class single_coefficients(Ancestral):
    """Coefficients are computed in the dtype of x: 1 - r^2 loses its digits where steps are short."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        levels = (step.start.alpha, step.start.sigma, step.end.alpha, step.end.sigma)
        a_t, s_t, a_s, s_s = (torch.tensor(value, dtype=x.dtype) for value in levels)
        r = a_t * s_s / (a_s * s_t)
        tau = 1.0 - r * r
        return s_s * r / s_t * x + a_s * tau * denoise(x, step.start) + s_s * tau.sqrt() * noise("z"), memory


@mutant("solver", "rows_of_a_batch_are_apart")
class normalises_the_batch(FirstOrder):
    """x is scaled by a deviation taken over the whole batch."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        x, _ = super().step(x, step, denoise, noise, memory)
        return x * (1.0 + 1e-3 * x.abs().mean()), memory


@mutant("solver", "rows_of_a_batch_are_apart")
class one_noise_for_all(Ancestral):
    """The first clip's noise is broadcast to all."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, denoise, lambda key: noise(key)[:1], memory)


@mutant("solver", "rises_from_the_clean_end")
class stays_clean(FirstOrder):
    """From sigma = 0 eps is taken to be 0: an ODE solver without noise goes to levels that x is not at."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        return (end.alpha, 0.0, 0.0) if start.sigma == 0.0 else super().coefficients(start, end)


@mutant("solver", "rises_from_the_clean_end")
class adds_to_the_clean(FirstOrder):
    """From sigma = 0 noise is added and x not scaled for it, as where variance explodes."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        return (1.0, 0.0, end.sigma) if start.sigma == 0.0 else super().coefficients(start, end)
