"""PNDM's past: its weights, its starts, what becomes of it at a switch of experts, on uneven steps and where a walk turns."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.grids import Leading
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.solvers import DDIM, PNDM
from jvid.solvers.history import EMPTY
from jvid.solvers.pndm import REACH, _over, _weights
from jvid.testing import GaussianOracle, TwoModeOracle
from jvid.testing.solving import path

F64 = torch.float64
VP = TabulatedSchedule.scaled_linear()
FLOW = FlowMatching()


def latents(seed=0):
    return torch.randn(2, 2, 2, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=F64)


def steps_of(schedule, times, who=lambda i: "a"):
    return path(schedule, times, lambda index, start: {who(index): 1.0})


def even(high, low, count):
    return [high + (low - high) * i / count for i in range(count + 1)]


def run(solver, experts, x, steps, memory=None, calls=None):
    memory = solver.init() if memory is None else memory
    for step in steps:

        def denoise(x_t, level, step=step):
            if calls is not None:
                calls.append((step.index, level.t))
            return experts[step.expert](x_t, torch.tensor(level.t, dtype=F64), {})

        x, memory = solver.step(x, step, denoise, lambda key, like=x: torch.zeros_like(like), memory)
    return x, memory


# The weights


def test_on_equal_steps_the_weights_are_those_of_adams_and_bashforth():
    known = {1: [1], 2: [3, -1], 3: [23, -16, 5], 4: [55, -59, 37, -9]}
    for count, weights in known.items():
        exact = [w / sum(weights) for w in weights]
        assert _weights([-float(k) for k in range(count)]) == pytest.approx(exact, abs=1e-13)


@given(gaps=st.lists(st.floats(0.3, 3.0), min_size=0, max_size=3), power=st.integers(0, 3))
def test_the_weights_integrate_what_their_number_can(gaps, power):
    nodes = [0.0]
    for gap in gaps:
        nodes.append(nodes[-1] - gap)
    if power < len(nodes):
        found = sum(w * node**power for w, node in zip(_weights(nodes), nodes, strict=True))
        assert found == pytest.approx(1 / (power + 1), abs=1e-9)


@given(times=st.lists(st.floats(0.01, 0.99), min_size=5, max_size=5, unique_by=lambda t: round(t, 4)))
def test_the_weights_stay_within_reach(times):
    steps = steps_of(VP, sorted(times, reverse=True))
    _, memory = run(PNDM(), {"a": TwoModeOracle(VP)}, latents(), steps[:-1])
    past = memory.recall(steps[-1], "per-expert")
    assert len(past) == 3
    weights = _over(steps[-1], past)
    assert sum(weights) == pytest.approx(1.0, abs=1e-9)
    assert sum(map(abs, weights)) <= REACH
    equal = steps_of(VP, even(0.9, 0.1, 4))
    _, memory = run(PNDM(), {"a": TwoModeOracle(VP)}, latents(), equal[:-1])
    assert len(_over(equal[-1], memory.recall(equal[-1], "per-expert"))) == 4


def test_a_step_far_longer_than_those_behind_it_does_not_throw_rounding_ahead():
    oracle, x = {"a": TwoModeOracle(VP)}, latents()
    steps = steps_of(VP, [0.95, 0.949, 0.948, 0.947, 0.3])
    single, double = (run(PNDM(), oracle, start, steps)[0].double() for start in (x.float(), x))
    assert (single - double).abs().max() < 1e-4


# The starts


@pytest.mark.parametrize(("start", "extra"), [("plms", 1), ("runge-kutta", 9)])
def test_the_starts_ask_where_they_say(start, extra):
    calls, steps = [], steps_of(VP, Leading(10)())
    run(PNDM(start), {"a": TwoModeOracle(VP)}, latents(), steps, calls=calls)
    assert len(calls) == 10 + extra
    first = [t for index, t in calls if index == 0]
    a, b = steps[0].start.t, steps[0].end.t
    assert first == pytest.approx([a, b] if start == "plms" else [a, (a + b) / 2, (a + b) / 2, b])


@pytest.mark.parametrize("start", ["plms", "runge-kutta"])
def test_from_pure_noise_the_first_step_is_ddims(start):
    steps = steps_of(FLOW, [1.0, 0.8, 0.6])
    oracle, x = {"a": TwoModeOracle(FLOW)}, latents()
    ours, memory = run(PNDM(start), oracle, x, steps[:1])
    assert torch.equal(ours, run(DDIM(), oracle, x, steps[:1])[0])
    assert memory is EMPTY


# Memory is a value


@pytest.mark.parametrize("start", ["plms", "runge-kutta"])
def test_a_run_in_two_parts_is_the_whole_and_memory_is_not_written_on(start):
    oracle, x, steps = {"a": TwoModeOracle(VP)}, latents(), steps_of(VP, even(0.9, 0.0, 9))
    solver = PNDM(start)
    whole, _ = run(solver, oracle, x, steps)
    middle, memory = run(solver, oracle, x, steps[:4])
    before = copy.deepcopy(memory)
    for kept in (memory, pickle.loads(pickle.dumps(memory)), memory):
        assert torch.equal(run(solver, oracle, middle, steps[4:], kept)[0], whole)
    for (_, ours), (_, theirs) in zip(memory.entries, before.entries, strict=True):
        assert all(torch.equal(a.value, b.value) for a, b in zip(ours, theirs, strict=True))


def test_no_more_is_kept_than_is_used():
    _, memory = run(PNDM(), {"a": TwoModeOracle(VP)}, latents(), steps_of(VP, even(0.9, 0.1, 9)))
    ((_, entries),) = memory.entries
    assert [entry.index for entry in entries] == [8, 7, 6]


# A switch of experts


def by_turns(i):
    return "ab"[i // 2 % 2]


def test_the_three_ways_of_a_switch():
    x, steps = latents(), steps_of(VP, even(0.9, 0.1, 12), by_turns)
    same = {"a": TwoModeOracle(VP), "b": TwoModeOracle(VP)}
    one = steps_of(VP, even(0.9, 0.1, 12))
    whole = run(PNDM(), same, x, one)[0]
    # Who predicts is not asked.
    assert torch.equal(run(PNDM(history="ignore"), same, x, steps)[0], whole)
    # Each on its own: another past, the same limit.
    apart, memory = run(PNDM(), same, x, steps)
    assert not torch.equal(apart, whole)
    fine = [
        run(PNDM(), same, x, steps_of(VP, even(0.9, 0.1, 48), who))[0] for who in (by_turns, lambda i: "a")
    ]
    assert (fine[0] - fine[1]).abs().max() < (apart - whole).abs().max() / 4
    assert {names: [entry.index for entry in entries] for names, entries in memory.entries} == {
        frozenset("a"): [9, 8, 5],
        frozenset("b"): [11, 10, 7],
    }
    # Anew: the first step after a switch is DDIM's.
    solver = PNDM(history="restart")
    at, memory = run(solver, same, x, steps[:6])
    assert steps[6].switched
    after, _ = run(solver, same, at, steps[6:7], memory)
    assert torch.equal(after, run(DDIM(), same, at, steps[6:7])[0])


def reference(x, high, low, cells, experts):
    """Where the ODE goes whose expert changes from cell to cell of [low, high]: DDIM in tiny steps, extrapolated."""

    def ddim(parts):
        count = cells * parts
        return run(
            DDIM(), experts, x, steps_of(FLOW, even(high, low, count), lambda i: "ab"[i // parts % 2])
        )[0]

    return 2 * ddim(400) - ddim(200)


def test_per_expert_holds_second_order_where_the_experts_disagree():
    # Two experts of other data in four blocks of time. Ignoring the switch costs order one, as their difference.
    experts = {"a": GaussianOracle(FLOW, 0.4, 0.6), "b": GaussianOracle(FLOW, -0.5, 0.9)}
    x = latents()
    exact = reference(x, 0.9, 0.1, 4, experts)

    def missed(history, count):
        steps = steps_of(FLOW, even(0.9, 0.1, count), lambda i: "ab"[i * 4 // count % 2])
        return (run(PNDM(history=history), experts, x, steps)[0] - exact).abs().max().item()

    rates = {h: math.log2(missed(h, 40) / missed(h, 160)) / 2 for h in ("per-expert", "restart", "ignore")}
    assert rates == pytest.approx({"per-expert": 2.0, "restart": 2.0, "ignore": 1.0}, abs=0.25)
    assert missed("per-expert", 40) < missed("restart", 40) / 2 < missed("ignore", 40) / 4


# Where a walk turns


def test_past_ends_where_the_walk_turned_round():
    steps = steps_of(VP, [0.9, 0.8, 0.7, 0.6, 0.75, 0.65])
    oracle = {"a": TwoModeOracle(VP)}
    at, memory = run(PNDM(), oracle, latents(), steps[:3])
    # What lies behind a step up is what lay ahead.
    up, after = run(PNDM(), oracle, at, steps[3:4], memory)
    assert torch.equal(up, run(DDIM(), oracle, at, steps[3:4])[0])
    down, _ = run(PNDM(), oracle, up, steps[4:5], after)
    assert torch.equal(down, run(DDIM(), oracle, up, steps[4:5])[0])


def test_new_noise_ends_the_past():
    oracle, steps = {"a": TwoModeOracle(VP)}, steps_of(VP, [0.6, 0.3, 0.0, 0.5, 0.4])
    _, memory = run(PNDM(), oracle, latents(), steps[:2])
    assert memory.entries
    _, memory = run(PNDM(), oracle, latents(), steps[2:3], memory)
    assert memory is EMPTY
