"""Checks of a solver's memory: it is a value, handed in and out, and the only thing that a run leaves behind."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import torch

from jvid.core.protocols import Denoiser, Level, Step
from jvid.schedules import FlowMatching
from jvid.testing.checking import check
from jvid.testing.oracles import GaussianOracle, TwoModeOracle
from jvid.testing.solving import SolverRun, even, latents_at, path, run
from jvid.testing.trial import Trial

SCHEDULE = FlowMatching()
EXPERTS: Mapping[str, Denoiser] = {
    "one": GaussianOracle(SCHEDULE, 0.7, 0.6),
    "two": TwoModeOracle(SCHEDULE, 0.9, 0.4),
}


def _turns(index: int, start: Level) -> Mapping[str, float]:
    return {"one": 1.0} if index % 4 < 2 else {"two": 1.0} if index % 4 == 2 else {"one": 0.4, "two": 0.6}


def _steps(count: int = 9) -> list[Step]:
    return path(SCHEDULE, even(0.95, 0.1, count), _turns)


@check("solver")
def a_run_repeats(subject: Any, trial: Trial) -> None:
    """The same run twice gives the same x bit for bit: nothing stays on the solver, nothing is drawn elsewhere."""
    steps = _steps()
    x = latents_at(steps[0].start, device=trial.device)
    first = run(subject, steps, EXPERTS, x).x
    run(subject, steps[:4], EXPERTS, -x)  # a run that is dropped half way
    trial.same(run(subject, steps, EXPERTS, x).x, first, "the second run")


@check("solver")
def interleaved_runs_are_apart(subject: Any, trial: Trial) -> None:
    """Two runs that take their steps in turn on one solver come out as they do one after the other."""
    steps, shorter = _steps(), path(SCHEDULE, even(0.8, 0.2, 9), _turns)
    x, y = (
        latents_at(steps[0].start, device=trial.device),
        latents_at(shorter[0].start, 0.5, 0.3, device=trial.device),
    )
    expected = run(subject, steps, EXPERTS, x).x, run(subject, shorter, EXPERTS, y).x
    one, two = SolverRun(x, subject.init()), SolverRun(y, subject.init())
    for step, other in zip(steps, shorter, strict=True):
        one.advance(subject, step, EXPERTS)
        two.advance(subject, other, EXPERTS)
    trial.same(one.x, expected[0], "the first of two runs in turn")
    trial.same(two.x, expected[1], "the second of two runs in turn")


@check("solver")
def a_memory_stays_valid(subject: Any, trial: Trial) -> None:
    """A step taken again from an old x and memory gives the same again: memories are not written on."""
    steps = _steps()
    going = SolverRun(latents_at(steps[0].start, device=trial.device), subject.init())
    before = []
    for step in steps:
        before.append((going.x, going.memory))
        going.advance(subject, step, EXPERTS)
    for step, (x, memory), expected in zip(steps, before, going.trace, strict=True):
        again = SolverRun(x, memory).advance(subject, step, EXPERTS)
        trial.same(again.x, expected, f"step {step.index} taken again")


@check("solver")
def a_split_run_is_the_whole(subject: Any, trial: Trial) -> None:
    """A run interrupted after any step, its memory pickled, goes on with a copy of the solver bit for bit."""
    steps = _steps()
    fresh = copy.deepcopy(subject)
    going = SolverRun(latents_at(steps[0].start, device=trial.device), subject.init())
    kept = []
    for step in steps:
        going.advance(subject, step, EXPERTS)
        kept.append(pickle.dumps((going.x, going.memory)))
    for at in range(len(steps) - 1):
        x, memory = pickle.loads(kept[at])
        rest = SolverRun(x, memory)
        other = copy.deepcopy(fresh)
        for step in steps[at + 1 :]:
            rest.advance(other, step, EXPERTS)
        trial.same(rest.x, going.x, f"resumed after step {at}")


@check("solver")
def memory_is_bounded(subject: Any, trial: Trial) -> None:
    """The memory does not grow with the number of steps."""
    sizes = {}
    for count in (12, 48):
        steps = _steps(count)
        x = latents_at(steps[0].start, count=64, device=trial.device)
        sizes[count] = max(_sizes(subject, steps, x))
    assert sizes[48] <= 1.1 * sizes[12] + 256, (
        f"{sizes[12]} bytes at most in 12 steps, {sizes[48]} in 48: keep what the next step needs"
    )


def _sizes(solver: Any, steps: list[Step], x: torch.Tensor) -> list[int]:
    going = SolverRun(x, solver.init())
    out = []
    for step in steps:
        # A fresh copy: a view would pickle all that it is a view of.
        out.append(len(pickle.dumps(going.advance(solver, step, EXPERTS).memory)))
    return out
