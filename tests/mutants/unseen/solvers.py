"""Solvers with a slip."""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.solvers import DDIM, DDPM
from jvid.solvers.kernel import coefficients, transition
from jvid.testing.references import multistep, solvers
from tests.mutants.solver_bases import Ancestral, Coefficients, FirstOrder, Past, TwoStages, TwoSteps
from tests.mutants.unseen import unseen


@unseen("solver", reference=solvers.ddim, ranges={"eta": (0.0, 1.0)})
@attrs.frozen
class EtaSquared(DDIM):
    """eta enters by its square; 0 and 1 are right."""

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        return transition(x, denoise(x, step.start), step.start, step.end, self.eta**2, noise), None


@unseen("solver", reference=solvers.ddpm)
class LargeVariance(Ancestral):
    """beta in place of the posterior's variance ("fixed large")."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        c_x, c_0, _ = coefficients(start, end, 1.0)
        if not (start.alpha and end.alpha and start.sigma and end.sigma and end.angle < start.angle):
            return coefficients(start, end, 1.0)
        (_, bar_t, _), (k_s, bar_s, _) = solvers.vp(start), solvers.vp(end)
        return c_x, c_0, k_s * math.sqrt(1.0 - bar_t / bar_s)


@unseen("solver", reference=solvers.ddim)
class Clipped(FirstOrder):
    """x_0 is clipped to [-1, 1], as of pixels."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, lambda y, level: denoise(y, level).clamp(-1.0, 1.0), noise, memory)


@unseen("solver", reference=solvers.ddim)
class FirstEntryForClean(FirstOrder):
    """The last step ends at the first entry of the table ("set_alpha_to_one" false), though sigma is 0 there."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        if end.sigma == 0.0:
            end = Level(end.t, math.sqrt(0.9991) * end.alpha, math.sqrt(0.0009) * end.alpha)
        return coefficients(start, end, 0.0)


@unseen("solver", reference=solvers.heun)
class SecondSlopeOfTheFirstX(TwoStages):
    """The second slope is of x before the Euler step."""

    def second(self, x: Tensor, euler: Tensor, step: Step, denoise: Denoise) -> Tensor:
        return self.slope(x, denoise(x, step.end), step.end)


@unseen("solver", reference=solvers.heun)
class SecondPredictionKept(TwoStages):
    """The second slope takes the first prediction."""

    def second(self, x: Tensor, euler: Tensor, step: Step, denoise: Denoise) -> Tensor:
        denoise(euler, step.end)
        return self.slope(euler, denoise(x, step.start), step.end)


@unseen("solver", reference=multistep.dpmpp_2m)
class RatioUpsideDown(TwoSteps):
    """h' / h in place of h / h'."""

    def weight(self, h: float, h_past: float) -> float:
        return 0.5 * h_past / h


@unseen("solver", reference=multistep.dpmpp_2m)
class HistoryOneLate(TwoSteps):
    """The slope is taken from two steps before, with the length of one."""

    def recalled(self, past: Past) -> tuple[Level, Tensor] | None:
        return (past[0][0], past[1][1]) if len(past) > 1 else None


@unseen("solver", reference=solvers.ddpm)
class ANoiseTooMuch(Ancestral):
    """The last step adds noise as well, of the variance of the one before."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        c_x, c_0, c_z = coefficients(start, end, 1.0)
        return c_x, c_0, c_z or 1e-3


@unseen("solver", reference=solvers.ddim)
class Thresholded(FirstOrder):
    """Dynamic thresholding of x_0 at its 99.5th percentile, as Imagen has it for pixels."""

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        def cut(y: Tensor, level: Level) -> Tensor:
            x_0 = denoise(y, level)
            most = (
                torch.quantile(x_0.abs().flatten(1).double(), 0.995, dim=1)
                .clamp_min(1.0)
                .view(-1, 1, 1, 1, 1)
            )
            most = most.to(x_0.dtype)
            return x_0.clamp(-most, most) / most  # fmt: skip

        return super().step(x, step, cut, noise, memory)


@unseen("solver", reference=solvers.ddim)
class HalfCoefficients(FirstOrder):
    """Coefficients are kept in float16."""

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        found = coefficients(start, end, 0.0)
        return tuple(float(torch.tensor(each, dtype=torch.float16)) for each in found)  # type: ignore[return-value]


@unseen("solver", reference=solvers.ddpm)
@attrs.frozen
class OneNoiseForAll(DDPM):
    """Noise is drawn once a run, and kept in the memory."""

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: Any) -> tuple[Tensor, Any]:
        z = noise("z") if memory is None else memory
        out = transition(x, denoise(x, step.start), step.start, step.end, 1.0, lambda key: z)
        return out, z
