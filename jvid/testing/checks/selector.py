"""Checks of selectors: ``(step, u) -> weights``, a function of its arguments and of nothing else.

Options: ``experts``, the names there are (the selector's own if None); ``counts``, numbers of steps of the
plans that it takes.
"""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from jvid.core.keyed import keyed_uniform
from jvid.core.levels import level_at
from jvid.core.plan import Plan
from jvid.core.planning import draw_plan
from jvid.core.protocols import Step
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.testing.checking import check, declare
from jvid.testing.checks import selector_purity, selector_range, selector_reference  # noqa: F401 - they register
from jvid.testing.checks.options import vary
from jvid.testing.solving import even_walk
from jvid.testing.strategies import indices, times, uniforms
from jvid.testing.trial import Trial

declare("selector", experts=None, counts=range(1, 21))

SCHEDULES = (TabulatedSchedule.scaled_linear(), FlowMatching(3.0), VarianceExploding())
PARTS = 2000
"""Numbers u over which shares are averaged: the middles of as many parts of [0, 1)."""


def _names(subject: Any, trial: Trial) -> tuple[str, ...] | None:
    declared = trial.option("experts") or getattr(subject, "experts", None)
    return None if declared is None else tuple(declared)


Drawn = tuple[int, int, float, float, int]


def _steps(trial: Trial) -> SearchStrategy[Drawn]:
    """Steps of any plan that the selector takes, falling, rising and of no length: index, count, times and schedule."""

    def build(count: int, part: float, start: float, end: float, on: int) -> Drawn:
        return min(int(part * count), count - 1), count, start, end, on

    counts = st.sampled_from(sorted(trial.option("counts")))
    return st.builds(build, counts, uniforms(), times(), times(), indices(len(SCHEDULES)))


def _step(drawn: Drawn) -> Step:
    index, count, start, end, on = drawn
    schedule = SCHEDULES[on]
    return Step(index, count, level_at(schedule, start), level_at(schedule, end), schedule=schedule)


def _walk(trial: Trial) -> list[Step]:
    """The steps of one falling plan."""
    return even_walk(SCHEDULES[0], max(trial.option("counts")))


@check("selector")
def weights_are_weights(subject: Any, trial: Trial) -> None:
    """For any u of [0, 1) and any step, rising ones too: weights of experts, at least 0, that sum to 1."""
    names = _names(subject, trial)

    @trial.given(step=_steps(trial), u=uniforms())
    def _(step: Drawn, u: float) -> None:
        weights = subject(_step(step), u)
        assert isinstance(weights, Mapping), f"a {type(weights).__name__}: expected weights by name"
        for name, weight in weights.items():
            assert names is None or name in names, f"{name!r} is none of the experts {names}"
            assert 0.0 <= weight < math.inf, f"weight {weight!r} of {name!r}: expected 0 or more"
        total = sum(weights.values())
        assert abs(total - 1.0) <= 1e-6, f"the weights {dict(weights)} sum to {total:.9g}, expected 1"


@check("selector")
def experts_are_declared(subject: Any, trial: Trial) -> None:
    """``experts``, where declared, are distinct names of text, each chosen by some step and number or at least known."""
    declared = getattr(subject, "experts", None)
    if declared is None:
        trial.skip("it does not declare its experts")
    names = list(declared)
    assert names, "it declares no experts"
    for name in names:
        good = isinstance(name, str) and name != ""
        assert good, f"expert {name!r}: expected a name"
    seen = {name for step in _walk(trial) for i in range(64) for name in subject(step, (i + 0.5) / 64)}
    assert seen <= set(names), f"it chooses {sorted(seen - set(names))}, which it does not declare"


@check("selector")
def the_same_in_any_order(subject: Any, trial: Trial) -> None:
    """Pure: in any order, again and again, in turn with other plans, the same step and u give the same weights."""
    counts = sorted(trial.option("counts"))
    walks = [even_walk(SCHEDULES[0], count) for count in {counts[0], counts[len(counts) // 2], counts[-1]}]
    questions = [
        (step, keyed_uniform(seed, (step.index,))) for seed in range(3) for walk in walks for step in walk
    ]
    first = [dict(subject(step, u)) for step, u in questions]
    for order in (range(len(questions) - 1, -1, -1), [i for i in range(len(questions)) for _ in range(2)]):
        for i in order:
            step, u = questions[i]
            again = dict(subject(step, u))
            assert again == first[i], (
                f"step {step.index} of {step.count} with u {u:.3g}: {first[i]} once, {again} later"
            )
    if trial.pristine is None:
        return
    fresh = copy.deepcopy(trial.pristine)  # what the subject keeps by now would hide that it keeps anything
    for (step, u), expected in reversed(list(zip(questions, first, strict=True))):
        again = dict(fresh(step, u))
        assert again == expected, (
            f"step {step.index} of {step.count} with u {u:.3g}: {expected}, of a fresh copy {again}: it keeps what it chose"
        )


@check("selector")
def answers_are_not_its_own(subject: Any, trial: Trial) -> None:
    """Writing on the weights that it gave changes none that it gives later."""
    for step in _walk(trial)[:3]:
        given = subject(step, 0.25)
        before = dict(given)
        if isinstance(given, dict):
            given.clear()
        again = dict(subject(step, 0.25))
        assert again == before, f"step {step.index}: {before} once, {again} after that was changed"


@check("selector")
def copies_agree(subject: Any, trial: Trial) -> None:
    """A pickled copy gives the same weights; where selectors compare by value it equals the original."""
    other = pickle.loads(pickle.dumps(subject))
    by_value: Any = type(subject).__eq__
    if by_value is not object.__eq__:
        assert other == subject, "a pickled copy is not equal"
    for step in _walk(trial):
        for u in (0.0, 0.4, 0.9):
            one, two = dict(subject(step, u)), dict(other(step, u))
            assert one == two, f"step {step.index} with u {u}: {one}, of a pickled copy {two}"


@check("selector")
def shares_as_declared(subject: Any, trial: Trial) -> None:
    """At every step the mean of its weights over u is ``shares(step)``, or ``probability(progress)`` of its first expert."""
    shares, probability = getattr(subject, "shares", None), getattr(subject, "probability", None)
    if shares is None and probability is None:
        trial.skip("it declares neither shares nor probability")

    def measured(step: Step) -> dict[str, float]:
        sums: dict[str, float] = {}
        for i in range(PARTS):
            for name, weight in subject(step, (i + 0.5) / PARTS).items():
                sums[name] = sums.get(name, 0.0) + weight
        return {name: total / PARTS for name, total in sums.items()}

    for step in _walk(trial):
        found = measured(step)
        declared = dict(shares(step)) if shares is not None else {}
        if probability is not None:
            declared.setdefault(subject.experts[0], probability(step.progress))
        names = {*declared, *(found if shares is not None else ())}
        for name in sorted(names):
            one, two = found.get(name, 0.0), declared.get(name, 0.0)
            # A share moves by at most one part for each place where the choice changes.
            assert abs(one - two) <= 4.0 / PARTS, (
                f"{name!r} at progress {step.progress:.3g} (step {step.index}): share {one:.4f}, declared {two:.4f}"
            )


@check("selector")
def a_plan_is_its_calls(subject: Any, trial: Trial) -> None:
    """A plan holds what single calls give, the same for the same seed, and survives being written as JSON."""
    walk = _walk(trial)
    levels = [walk[0].start, *(step.end for step in walk)]
    names = _names(subject, trial) or tuple({name: None for step in walk for name in subject(step, 0.5)})

    @trial.given(seed=st.integers(0, 2**40))
    def _(seed: int) -> None:
        plan = draw_plan(subject, levels, names, seed)
        for step in reversed(plan.steps):
            bare = walk[step.index]
            expected = subject(bare, keyed_uniform(seed, ("plan", step.index)))
            weights = {name: weight for name, weight in expected.items() if weight}
            assert dict(step.weights) == weights, (
                f"step {step.index}: {dict(step.weights)} in the plan, {weights} when evaluated alone"
            )
        again = draw_plan(subject, levels, names, seed)
        assert again == plan, "the same seed gave another plan"
        assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan, "JSON gave another plan"


vary("selector")
