"""The check of a solver by its reference, one transition: ``(x, step, denoise, noise, past) -> x``.

A run of the reference goes beside one of the solver, on walks that fall: what a step to more noise does is another check's.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from torch import Tensor

from jvid.core.protocols import NoiseSchedule, Step
from jvid.testing.checking import check
from jvid.testing.oracles import GaussianOracle, TwoModeOracle
from jvid.testing.referenced import ReferenceComparison, transitions
from jvid.testing.solving import ON, ends, keyed_draw, latents_at, path, run
from jvid.testing.trial import Trial

WALKS = st.tuples(
    st.integers(2, 10),
    st.sampled_from([1.0, 0.95, 0.8]),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from([0.0, 0.3]),
)
"""Number of steps, first and last time, and how much every second step is shorter."""


def _times(walk: tuple[int, float, float, float]) -> list[float]:
    count, high, low, uneven = walk
    gap = (high - low) / count
    times = [high - gap * (i - uneven * (i % 2) * (0 < i < count)) for i in range(count)]
    return [*times, low]


@check("solver")
def as_referenced(subject: Any, trial: Trial) -> None:
    """x after each step of falling noise is the reference's, given the same predictions and noise; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)

    @trial.given(
        where=st.sampled_from(sorted(ON)), walk=WALKS, modes=st.booleans(), single=st.booleans(),
        options=trial.versions(),
    )  # fmt: skip
    def _(
        where: str, walk: tuple[int, float, float, float], modes: bool, single: bool, options: dict[str, Any]
    ) -> None:
        solver, schedule = trial.version(subject, options), ON[where]
        steps = path(schedule, _times(walk))
        oracle = _oracle(schedule, modes)
        x = latents_at(steps[0].start, 0.3, 0.6, device=trial.device)
        if single:
            x = x.float().double()
        out = run(solver, steps, oracle, x.float() if single else x)
        names: dict[int, list[str]] = {}
        for index, key in dict.fromkeys(out.drawn):
            names.setdefault(index, []).append(str(key))

        def drawn(step: Step, k: int) -> Tensor:
            own = names.get(step.index, [])
            z = keyed_draw(x, step.index, own[k] if k < len(own) else f"of the reference {k}")
            return z.float().double() if single else z

        experts = dict.fromkeys(steps[0].weights, oracle)
        expected = transitions(trial.equation(options), steps, experts, x, drawn)
        for step, got, wanted in zip(steps, out.trace, expected, strict=False):
            tolerance = 2e-4 if single else 1e-7
            whole = compared.agree(got, wanted, f"{where}, step {step.index}, {ends(step)}: x", tolerance)
            if not whole:
                break

    compared.finish()


def _oracle(schedule: NoiseSchedule, modes: bool) -> Any:
    return TwoModeOracle(schedule, 0.9, 0.4, 0.2) if modes else GaussianOracle(schedule, 0.7, 0.6)
