"""The check of single steps of unequal length, from a past that is exact.

Errors of a wrong ratio of two steps cancel over a run: what a long step adds, the next short one takes off, on any walk. One step
alone shows them: from x and a memory of the exact path, its error falls with one order more than the solver claims.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from jvid.core.protocols import Level, NoiseSchedule
from jvid.schedules import FlowMatching
from jvid.solvers import DDIM
from jvid.testing.checking import check
from jvid.testing.oracles import GaussianOracle
from jvid.testing.solving import SolverRun, Twin, draws, latents_at, path
from jvid.testing.trial import Trial

SCHEDULES: dict[str, NoiseSchedule] = {
    "variance preserving": Twin(FlowMatching()),
    "flow matching": FlowMatching(),
}
RATIOS = (2.0, 0.5)
TURNS = (-1.0, -0.5)
"""Steps back up: a solver may take its past along, or begin anew."""
WORSE = 1.2
LENGTHS = (0.02, 0.01, 0.005)
PAST, AFTER = 4, 3
"""Steps before the one that is measured, and behind it: the last ones of a plan may be of lower order."""
SLACK = 0.35
EXACT = 1e-11
T = 0.55


def _error(subject: Any, schedule: NoiseSchedule, ratio: float, length: float, trial: Trial) -> float:
    """The error of a last step that is ``ratio`` times as long as those before it, which start from the exact x each.

    A ratio below 0 is a step back up.
    """
    oracle = GaussianOracle(schedule, mean=0.7, std=0.6)
    times = [T + length * (PAST - k) for k in range(PAST + 1)]
    times += [T - length * (ratio + k * math.copysign(1.0, ratio)) for k in range(AFTER + 1)]
    steps = path(schedule, times)[: PAST + 1]
    first = steps[0].start

    def exact(level: Level) -> Tensor:
        return oracle.flow(start, first, level)

    start = latents_at(first, oracle.mean, oracle.std, device=trial.device)
    run = SolverRun(start, subject.init(), copies=False)
    for step in steps:
        run.x = exact(step.start)
        run.advance(subject, step, {"one": oracle})
    return float((run.x - exact(steps[-1].end)).abs().max())


@check("solver")
def a_step_is_as_good_as_its_order(subject: Any, trial: Trial) -> None:
    """From an exact past, a step of another length has an error of its order; one back up is as good as one of first order."""
    if draws(subject, trial.device):
        trial.skip("it is stochastic: a single step has no exact answer")
    order = int(subject.order)
    for where, schedule in SCHEDULES.items():
        for ratio in (1.0, *RATIOS):
            errors = [_error(subject, schedule, ratio, length, trial) for length in LENGTHS]
            assert all(map(math.isfinite, errors)), f"{where}: errors {errors}"
            if errors[-1] < EXACT:
                continue
            measured = math.log2(max(errors[-2], EXACT) / errors[-1])
            good = measured >= order + 1 - SLACK
            if not good and ratio == 1.0:
                trial.skip(f"a step is of order {measured:.1f} until the next one corrects it")
            shown = ", ".join(
                f"{length:g}: {error:.2e}" for length, error in zip(LENGTHS, errors, strict=True)
            )
            assert good, (
                f"{where}, a step {ratio:g} times as long as those before: its error is of order {measured:.2f}, expected "
                f"{order + 1} as of steps of one length (lengths and errors {shown})"
            )
        for ratio in TURNS:
            found, first = (_error(each, schedule, ratio, LENGTHS[0], trial) for each in (subject, DDIM()))
            assert found <= WORSE * first + EXACT, (
                f"{where}, a step of {ratio:g} times the length of those before, back up: its error is {found:.2e}, that of a "
                f"step of first order {first:.2e}"
            )
