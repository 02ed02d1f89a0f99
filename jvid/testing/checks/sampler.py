"""Checks of samplers, composed as they are used: what a run depends on, and what it does not.

A clip is a function of strategy, plan, its seed and its condition. ``exact=False`` allows rounding (``tolerance``) where
experts round by batch, as convolutions do; the rest is bit for bit. Sizes are the experts': ``channels``, ``frames``, ``sides``.
"""

from __future__ import annotations

import json
import pickle
from itertools import pairwise
from typing import Any

import attrs
import torch

from jvid.core.plan import Plan
from jvid.core.protocols import Expert
from jvid.testing.checking import check, declare
from jvid.testing.checks import sampler_levels, sampler_noise, sampler_reference  # noqa: F401 - they register
from jvid.testing.denoising import rows
from jvid.testing.sampling import Counted, Louder, Renamed, given_runs, on, rebuilt
from jvid.testing.trial import Trial

declare("sampler", exact=True)


@check("sampler")
def a_call_is_its_trace(subject: Any, trial: Trial) -> None:
    """Calling gives the last latents of the trace, finished by the postprocessors; a state for each step, in order."""

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        cond = trial.condition(1, shape[1])
        states = list(subject.trace(shape, seeds=[seed], cond=cond, plan=plan, **on(trial)))
        drawn = subject.plan(plan)
        assert [state.step for state in states] == list(drawn.steps), (
            "its states are not those of its plan's steps"
        )
        out = subject(shape, seeds=[seed], cond=cond, plan=plan, **on(trial))
        expected = states[-1].x
        for postprocessor in subject.postprocessors:
            expected = postprocessor(expected)
        trial.same(out, expected, "the call and its trace")
        for now, then in pairwise(states):
            assert not torch.equal(now.x, then.x), f"step {then.step.index} left x as it was"

    given_runs(trial, property)
    # Latents far beyond those of data, which would show if the call clipped them.
    louder = {
        name: attrs.evolve(each, denoiser=Louder(each.denoiser)) for name, each in subject.experts.items()
    }
    loud = rebuilt(subject, experts=louder)
    shape, cond = (
        trial.fitting([(1, trial.channels[0], trial.frames[0], 4, 4)])[0],
        trial.condition(1, trial.frames[0]),
    )
    *_, last = loud.trace(shape[1:], seeds=[1], cond=cond, plan=0, **on(trial))
    expected = last.x
    for postprocessor in subject.postprocessors:
        expected = postprocessor(expected)
    got = loud(shape[1:], seeds=[1], cond=cond, plan=0, **on(trial))
    trial.same(got, expected, "the call and its trace, of predictions times 20")


@check("sampler")
def states_stay(subject: Any, trial: Trial) -> None:
    """A state that was kept is not changed by the steps after it."""

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        kept = []
        for state in subject.trace(
            shape, seeds=[seed], cond=trial.condition(1, shape[1]), plan=plan, **on(trial)
        ):
            kept.append((state, state.x.clone(), state.x_0.clone(), dict(state.calls)))
        for state, x, x_0, calls in kept:
            trial.same(state.x, x, f"x after step {state.step.index}, later")
            trial.same(state.x_0, x_0, f"x_0 of step {state.step.index}, later")
            assert dict(state.calls) == calls, f"calls after step {state.step.index} changed"

    given_runs(trial, property)


@check("sampler")
def only_weighted_experts_are_evaluated(subject: Any, trial: Trial) -> None:
    """At each step the experts with weight alone are evaluated, as often as the solver declares; calls are counted right."""
    declared = getattr(subject.solver, "evaluations", lambda step: 1)
    counts: dict[str, list[int]] = {name: [] for name in subject.experts}
    experts = {
        name: attrs.evolve(expert, denoiser=Counted(expert.denoiser, counts[name]))
        for name, expert in subject.experts.items()
    }
    counted = rebuilt(subject, experts=experts)

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        before = {name: len(calls) for name, calls in counts.items()}
        total = dict.fromkeys(counts, 0)
        for state in counted.trace(
            shape, seeds=[seed], cond=trial.condition(1, shape[1]), plan=plan, **on(trial)
        ):
            for name, calls in counts.items():
                count = len(calls) - before[name]
                expected = declared(state.step) if state.step.weights.get(name, 0.0) > 0 else 0
                assert count == expected, (
                    f"step {state.step.index}: {name!r} evaluated {count} times, expected {expected} "
                    f"(weights {dict(state.step.weights)})"
                )
                before[name] += count
                total[name] += count
            assert dict(state.calls) == total, (
                f"after step {state.step.index}: {total} calls, the state has {state.calls}"
            )

    given_runs(trial, property)


@check("sampler")
def a_clip_depends_on_its_seed_alone(subject: Any, trial: Trial) -> None:
    """A clip of a batch is the one that its seed and condition give alone, at any place in the batch."""
    exact = trial.option("exact")

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        of = [seed, seed + 3, seed + 1]
        cond = trial.condition(3, shape[1])
        whole = subject(shape, seeds=of, cond=cond, plan=plan, **on(trial))
        orders = ([0], [1], [2], [2, 0, 1], [1, 1])
        for order in orders:
            part = subject(
                shape, seeds=[of[i] for i in order], cond=rows(cond, order, 3), plan=plan, **on(trial)
            )
            what = f"clips {order} of three, by themselves"
            if exact:
                trial.same(part, whole[order], what)
            else:
                trial.close(part, whole[order], what)

    given_runs(trial, property, 2)  # of six runs each
    # Clips of other seeds differ: 1 and 2^32 + 1 among them.
    shape = trial.fitting([(1, trial.channels[0], trial.frames[0], 7, 7)])[0][1:]
    two = subject(shape, seeds=[1, 2**32 + 1], cond=trial.condition(2, shape[1]), **on(trial))
    assert not torch.equal(two[0], two[1]), "seeds 1 and 2^32 + 1 give the same clip"


@check("sampler")
def a_run_resumes(subject: Any, trial: Trial) -> None:
    """Interrupted after any step, the pickled state goes on bit for bit as the run would have."""

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        cond = trial.condition(2, shape[1])
        states = list(subject.trace(shape, seeds=[seed, seed + 1], cond=cond, plan=plan, **on(trial)))
        kept = [pickle.dumps(state) for state in states]
        for at in sorted({0, len(states) // 2, len(states) - 2} - {-1, len(states) - 1}):
            state = pickle.loads(kept[at])
            rest = list(subject.trace(resume=state, cond=cond))
            assert len(rest) == len(states) - at - 1, f"{len(rest)} steps after step {at} of {len(states)}"
            for one, two in zip(rest, states[at + 1 :], strict=True):
                trial.same(one.x, two.x, f"resumed after step {at}, x after step {one.step.index}")
                assert dict(one.calls) == dict(two.calls), f"resumed after step {at}: calls {one.calls}"

    given_runs(trial, property)


@check("sampler")
def runs_in_turn_are_apart(subject: Any, trial: Trial) -> None:
    """Two traces that take their steps in turn come out as they do alone; a dropped one leaves nothing behind."""

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        def trace(of: int) -> Any:
            return subject.trace(shape, seeds=[of], cond=trial.condition(1, shape[1]), plan=plan, **on(trial))

        alone = [[state.x for state in trace(of)] for of in (seed, seed + 1)]
        next(trace(seed + 2))
        together = [[one.x, two.x] for one, two in zip(trace(seed), trace(seed + 1), strict=True)]
        for i, pair in enumerate(together):
            for k in range(2):
                trial.same(pair[k], alone[k][i], f"run {k} of two in turn, after step {i}")

    given_runs(trial, property)


@check("sampler")
def plans_replay(subject: Any, trial: Trial) -> None:
    """A plan's seed, the plan, and the plan read back from JSON give the same clip; ``plan`` runs no expert."""

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        cond = trial.condition(1, shape[1])
        drawn = subject.plan(plan)
        assert drawn == subject.plan(plan), "a plan's seed gave two plans"
        read = Plan.from_dict(json.loads(json.dumps(drawn.to_dict())))
        expected = subject(shape, seeds=[seed], cond=cond, plan=plan, **on(trial))
        for what, replayed in (("the plan", drawn), ("the plan from JSON", read)):
            trial.same(subject(shape, seeds=[seed], cond=cond, plan=replayed, **on(trial)), expected, what)

    given_runs(trial, property)


@check("sampler")
def names_mean_nothing(subject: Any, trial: Trial) -> None:
    """With its experts renamed, and listed in another order, it gives the same clips bit for bit."""
    names = {name: f"e{len(subject.experts) - i}" for i, name in enumerate(subject.experts)}
    renamed = {names[name]: expert for name, expert in subject.experts.items()}
    other = rebuilt(subject, experts=renamed, selector=Renamed(subject.selector, names))
    turned: dict[str, Expert] = dict(reversed(subject.experts.items()))
    reordered = rebuilt(subject, experts=turned)

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        cond = trial.condition(1, shape[1])
        expected = subject(shape, seeds=[seed], cond=cond, plan=plan, **on(trial))
        trial.same(
            other(shape, seeds=[seed], cond=cond, plan=plan, **on(trial)), expected, "with experts renamed"
        )
        trial.same(
            reordered(shape, seeds=[seed], cond=cond, plan=plan, **on(trial)),
            expected,
            "with experts reordered",
        )

    given_runs(trial, property)


@check("sampler")
def dtype_of_latents_kept(subject: Any, trial: Trial) -> None:
    """Latents are float32, or float64 on request, at each step; both begin with the same numbers."""

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        cond = trial.condition(1, shape[1])
        for dtype in (None, torch.float32, torch.float64):
            for state in subject.trace(shape, seeds=[seed], cond=cond, plan=plan, dtype=dtype, **on(trial)):
                wanted = dtype or torch.float32
                assert state.x.dtype == wanted, (
                    f"x after step {state.step.index} is {state.x.dtype}, not {wanted}"
                )
                assert tuple(state.x.shape) == (1, *shape), f"x has shape {tuple(state.x.shape)}"

    given_runs(trial, property)


@check("sampler")
def starts_from_what_is_given(subject: Any, trial: Trial) -> None:
    """Latents that are handed in are where it starts, and are not written on."""

    def property(shape: tuple[int, ...], seed: int, plan: int) -> None:
        cond = trial.condition(1, shape[1])
        x = trial.latents((1, *shape), seed % 1000, torch.float32)
        before = x.clone()
        one = subject(seeds=[seed], x=x, cond=cond, plan=plan)
        trial.untouched(x, before, "the latents handed in, afterwards")
        trial.same(subject(seeds=[seed], x=x, cond=cond, plan=plan), one, "the same again")
        first = next(iter(subject.trace(seeds=[seed], x=x, cond=cond, plan=plan)))
        other = next(iter(subject.trace(seeds=[seed], x=x + 1.0, cond=cond, plan=plan)))
        assert not torch.equal(first.x, other.x), "other latents to start from change nothing"

    given_runs(trial, property)
