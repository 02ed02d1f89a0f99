"""The check of a sampler by its reference ``(x, steps, denoise, noise) -> latents``, a whole run of one clip.

x is what the run starts from, ``steps`` are the plan's; ``denoise(name, x, level)`` is an expert's x_0 on the sampler's schedule,
``noise(step, k)`` the k-th noise that the solver drew in a step, shaped as its expert shapes it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import Level, Step
from jvid.testing.checking import check
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.sampling import Recorded, given_runs, rebuilt
from jvid.testing.trial import Trial

F64 = torch.float64


@check("sampler")
def as_referenced(subject: Any, trial: Trial) -> None:
    """The latents of a run from given ones are the reference's, given the same predictions and noise."""
    equation = trial.equation()
    compared = ReferenceComparison(trial)

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        cond = trial.condition(1, shape[1])
        recorded = Recorded(subject.solver)
        x = trial.latents((1, *shape), seed % 1000, F64)
        sampler = rebuilt(subject, solver=recorded)
        got = sampler(seeds=[seed], x=x, cond=cond, plan=plan, dtype=F64)

        def denoise(name: str, y: Any, level: Level) -> Tensor:
            return _predicted(
                sampler.experts[name].denoiser, torch.as_tensor(y, dtype=F64, device=x.device), level, cond
            )

        def noise(step: Step, k: int = 0) -> Tensor:
            drawn = recorded.noise.get(step.index, {})
            assert k < len(drawn), (
                f"the reference takes noise {k} of step {step.index}, where the solver draws {len(drawn)}"
            )
            return list(drawn.values())[k].double()

        expected = stated(equation, x.clone(), subject.plan(plan).steps, denoise, noise)
        compared.agree(got, expected, f"the latents of seed {seed}", max(trial.tolerance / 10, 1e-6))

    given_runs(trial, property)
    compared.finish()


def _predicted(denoiser: Any, x: Tensor, level: Level, cond: Any) -> Tensor:
    """x_0 by a denoiser of any schedule: at its own level of the same angle, x in its scale."""
    t = denoiser.schedule.time_at(torch.tensor(level.angle, dtype=F64))
    alpha, sigma = (float(each) for each in denoiser.schedule(t))
    scale = math.hypot(alpha, sigma) / math.hypot(level.alpha, level.sigma)
    with torch.no_grad():
        out: Tensor = denoiser(x * scale, t.to(x.device), cond)
    return out
