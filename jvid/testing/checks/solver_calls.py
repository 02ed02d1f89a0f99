"""Checks of a solver's calls: at which levels and how often it predicts, and which names of noise it draws.

Nothing that it is handed is its own: it writes on none of it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jvid.core.levels import level_at
from jvid.core.protocols import DeclaresNoise, Level, Step
from jvid.schedules import FlowMatching
from jvid.testing.checking import check, declare
from jvid.testing.oracles import TwoModeOracle
from jvid.testing.solving import F64, ON, WALK, ends, keyed_draw, latents_at, path, run
from jvid.testing.strategies import SCHEDULES, grids, indices
from jvid.testing.trial import Trial

# beyond=True: it may evaluate at levels outside of its step, as churn does; exponential=False: an integrator of first order in
# another variable, which is exact in the limit of short steps alone.
declare("solver", beyond=False, exponential=True)


@check("solver")
def evaluates_within_the_step(subject: Any, trial: Trial) -> None:
    """It evaluates at levels of the schedule, at the start of the step or between its ends, and first at the start."""
    for where, schedule in ON.items():
        steps = path(schedule, (*WALK, 0.0))
        out = run(subject, steps, TwoModeOracle(schedule), latents_at(steps[0].start, device=trial.device))
        firsts = {index: level for index, _, level in reversed(out.evaluated)}
        for index, _, level in out.evaluated:
            step = steps[index]
            at = f"{where}, {ends(step)}: evaluated at t {level.t:.6g} (alpha {level.alpha:.6g}, sigma {level.sigma:.6g})"
            on = level_at(schedule, level.t)
            off = math.hypot(on.alpha - level.alpha, on.sigma - level.sigma)
            assert off <= 1e-12 * max(1.0, on.sigma), f"{at}, which is no level of the schedule"
            if not trial.option("beyond"):
                low, high = sorted((step.start.t, step.end.t))
                assert low <= level.t <= high, at
                assert firsts[index] == step.start, (
                    f"{where}, {ends(step)}: first evaluated at t {level.t:.6g}"
                )


@check("solver")
def evaluations_as_declared(subject: Any, trial: Trial) -> None:
    """It evaluates as often as ``evaluations(step)`` declares, once where it declares nothing, on any grid."""
    declared = getattr(subject, "evaluations", lambda step: 1)
    for where, schedule in ON.items():
        for times in ((*WALK, 0.0), (0.7, 0.0), (0.0, 0.3, 0.3, 0.1)):
            steps = path(schedule, times)
            out = run(
                subject, steps, TwoModeOracle(schedule), latents_at(steps[0].start, device=trial.device)
            )
            for step in steps:
                count = sum(index == step.index for index, _, _ in out.evaluated)
                expected = declared(step)
                # A step from sigma = 0 knows x_0, and one of no length needs none.
                free = step.start.sigma == 0.0 or step.start == step.end
                assert count == expected or (free and count < expected), (
                    f"{where}, step {step.index}, {ends(step)}: evaluated {count} times, declared {expected}"
                )


@check("solver")
def declares_the_noise_that_it_draws(subject: Any, trial: Trial) -> None:
    """``draws_noise(step)`` is true where a step draws noise and false where none moves x, on any walk, rising and level too."""
    declares: object = subject
    if not isinstance(declares, DeclaresNoise):
        trial.skip("it declares no draws_noise(step): each of its steps may draw")

    @trial.given(on=indices(len(SCHEDULES)), times=grids(2, 7, falling=False))
    def _(on: int, times: tuple[float, ...]) -> None:
        steps = path(SCHEDULES[on], [round(t, 6) for t in times])
        x, memory = latents_at(steps[0].start, device=trial.device), subject.init()
        for step in steps:
            after, kept, drawn = _signed(subject, x, step, memory, 1.0)
            other, _, _ = _signed(subject, x, step, memory, -1.0)
            declared = declares.draws_noise(step)
            assert drawn or not declared, f"{ends(step)}: it declares noise and draws none"
            assert declared or torch.equal(after, other), (
                f"{ends(step)}: it declares no noise and draws {drawn[0]!r}"
            )
            x, memory = after, kept


def _signed(subject: Any, x: Tensor, step: Step, memory: Any, sign: float) -> tuple[Tensor, Any, list[str]]:
    """One step with noise of a sign: x and memory after it, and the names of its draws."""
    assert step.schedule is not None
    oracle = TwoModeOracle(step.schedule, 0.9, 0.4)
    drawn: list[str] = []

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        return oracle(x_t, torch.tensor(level.t, dtype=F64, device=x_t.device), {})

    def noise(key: str) -> Tensor:
        drawn.append(key)
        return sign * keyed_draw(x, step.index, key)

    after, kept = subject.step(x, step, denoise, noise, memory)
    return after, kept, drawn


@check("solver")
def draws_are_named_and_used(subject: Any, trial: Trial) -> None:
    """Noise is drawn by names, the same for any x, and only where it moves x: an ODE solver draws none."""
    schedule = FlowMatching()
    steps = path(schedule, (*WALK, 0.0))
    x = latents_at(steps[0].start, device=trial.device)
    drawn = run(subject, steps, TwoModeOracle(schedule), x).drawn
    for index, key in drawn:
        named = isinstance(key, str) and key != ""
        assert named, f"step {index} draws {key!r}: expected a name"
    assert run(subject, steps, TwoModeOracle(schedule), 0.3 * x).drawn == drawn, "other draws for another x"
    base = run(subject, steps, TwoModeOracle(schedule), x)
    for index, key in dict.fromkeys(drawn):

        def other(at: int, name: str, index: int = index, key: str = key) -> Tensor:
            z = keyed_draw(x, at, name)
            return -z if (at, name) == (index, key) else z

        moved = run(subject, steps, TwoModeOracle(schedule), x, other).trace[index]
        assert not torch.equal(moved, base.trace[index]), (
            f"step {index}, {ends(steps[index])}: draws {key!r} and does not use it"
        )


@check("solver")
def stages_draw_noise_of_their_own(subject: Any, trial: Trial) -> None:
    """A name is drawn at one stage of a step alone: the same name is the same noise, and another stage's would be that again."""
    for where, schedule in ON.items():
        steps = path(schedule, (*WALK, 0.0))
        x, memory = latents_at(steps[0].start, device=trial.device), subject.init()
        for step in steps:
            x, memory, twice = _drawn_by_stage(subject, x, step, memory)
            assert not twice, (
                f"{where}, {ends(step)}: noise {twice!r} is drawn before and after an evaluation, which gives the same again"
            )


def _drawn_by_stage(subject: Any, x: Tensor, step: Step, memory: Any) -> tuple[Tensor, Any, str]:
    """x and memory after a step, and a name that it drew at two stages, or none."""
    assert step.schedule is not None
    oracle, stages = TwoModeOracle(step.schedule, 0.9, 0.4), [0]
    seen: dict[str, int] = {}
    twice: list[str] = []

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        stages[0] += 1
        return oracle(x_t, torch.tensor(level.t, dtype=F64, device=x_t.device), {})

    def noise(key: str) -> Tensor:
        if seen.setdefault(key, stages[0]) != stages[0]:
            twice.append(key)
        return keyed_draw(x, step.index, key)

    out, memory = subject.step(x, step, denoise, noise, memory)
    return out, memory, twice[0] if twice else ""


@check("solver")
def tensors_unmutated(subject: Any, trial: Trial) -> None:
    """It writes on none of the tensors that it is handed: x, predictions (also those of steps before), noise."""
    schedule = FlowMatching()
    steps = path(schedule, (*WALK, 0.0))
    out = run(subject, steps, TwoModeOracle(schedule), latents_at(steps[0].start, device=trial.device))
    for what, value, copy in out.seen:
        assert torch.equal(value, copy), f"it changed {what} in place"
