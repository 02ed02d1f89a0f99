"""Checks of the levels of a sampler: the noise that it begins with, and what its experts are given.

An expert of another schedule is given latents at its own level of the same angle, in its own scale. Where its schedule has no
such angle it is given its end.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.protocols import Condition, Denoiser, Step
from jvid.denoisers.wrapper import Wrapper
from jvid.testing.checking import check
from jvid.testing.sampling import Recorded, on, rebuilt
from jvid.testing.trial import Trial

SIGMAS = 6.0
Event = tuple[str, Any, Any]


@attrs.frozen(eq=False)
class _Noting(Wrapper):
    """A denoiser that notes what it is given."""

    denoiser: Denoiser
    events: list[Event]

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        self.events.append(("given", self.denoiser, (x.double().cpu(), float(t.double().reshape(-1)[0]))))
        return self.denoiser(x, t, cond)


class _Logged(Recorded):
    """A solver that notes when it begins a step and when it draws noise."""

    def __init__(self, solver: Any, events: list[Event]) -> None:
        super().__init__(solver)
        self.events = events

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: Any) -> tuple[Tensor, Any]:
        self.events.append(("step", step, x.double().cpu()))

        def noted(name: str) -> Tensor:
            self.events.append(("noise", step, None))
            z: Tensor = noise(name)
            return z

        return super().step(x, step, denoise, noted, memory)


@check("sampler")
def experts_get_the_level_of_the_step(subject: Any, trial: Trial) -> None:
    """A step's first prediction is of its x at the level that it starts at, by angle and in the expert's own scale."""
    events: list[Event] = []
    experts = {
        name: attrs.evolve(expert, denoiser=_Noting(expert.denoiser, events))
        for name, expert in subject.experts.items()
    }
    sampler = rebuilt(subject, experts=experts, solver=_Logged(subject.solver, events))
    shape = trial.fitting([(1, trial.channels[0], trial.frames[0], 4, 4)])[0][1:]
    for _ in sampler.trace(shape, seeds=[3], cond=trial.condition(1, shape[1]), plan=0, **on(trial)):
        pass
    spaces = {repr(getattr(expert.denoiser, "space", None)) for expert in subject.experts.values()}
    step, x, early = None, torch.empty(0), True
    seen: set[int] = set()
    for what, whose, value in events:
        if what == "step":
            step, x, early = whose, value, True
            seen.clear()
        elif what == "noise":
            early = False  # noise was added before: it evaluates at another level on purpose
        elif early and step is not None and id(whose) not in seen:
            seen.add(id(whose))  # a later evaluation in the step is of another stage of the solver
            given, t = value
            scale = _require_level(whose, step, t)
            if len(spaces) == 1:
                trial.close(given, x * scale, f"latents given at t {step.start.t:.3g}, in the expert's scale")


def _require_level(denoiser: Any, step: Step, t: float) -> float:
    """The ratio of the expert's scale to the sampler's."""
    own = [denoiser.schedule(torch.tensor(each, dtype=torch.float64)) for each in (0.0, 1.0, t)]
    low, high, angle = (math.atan2(float(sigma), float(alpha)) for alpha, sigma in own)
    wanted = min(max(step.start.angle, low), high)
    assert abs(angle - wanted) <= 1e-5, (
        f"step {step.index} starts at the angle {step.start.angle:.6g}, its expert is evaluated at {angle:.6g}: "
        f"expected {wanted:.6g}"
    )
    return math.hypot(*map(float, own[2])) / math.hypot(step.start.alpha, step.start.sigma)


@check("sampler")
def begins_with_noise_of_its_level(subject: Any, trial: Trial) -> None:
    """Without latents to start from, a run begins with noise of variance alpha^2 + sigma^2 of its first level."""
    if getattr(subject, "clean", None) is not None or getattr(subject, "initial", None) is not None:
        trial.skip("what it begins with is given")
    shape = trial.fitting([(1, 4, 3, 12, 10)])[0][1:]
    recorded = Recorded(subject.solver)
    sampler = rebuilt(subject, solver=recorded)
    squares = []
    first = None
    for seed in (11, 12):
        # The first step alone: the trace is dropped.
        state = next(
            iter(sampler.trace(shape, seeds=[seed], cond=trial.condition(1, shape[1]), plan=0, **on(trial)))
        )
        first = state.step.start
        squares.append(recorded.x[min(recorded.x)].cpu().double().square().flatten())
    assert first is not None
    expected = first.alpha**2 + first.sigma**2
    found = torch.cat(squares) / expected
    assert abs(float(found.mean()) - 1.0) <= SIGMAS * (2.0 / found.numel()) ** 0.5, (
        f"its first latents have the variance {float(found.mean()):.3g} times alpha^2 + sigma^2 of t {first.t:.3g}, "
        "expected 1"
    )
