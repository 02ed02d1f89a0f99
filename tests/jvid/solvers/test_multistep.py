"""DPM-Solver++ 2M, its SDE, UniPC and the history that they share: what is remembered, the ends, steps back up, scales."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.protocols import Level, Step
from jvid.errors import InputError
from jvid.grids import Leading
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.solvers import DDIM, DDPM, DPMPP2M, DPMPP2MSDE, UniPC
from jvid.solvers.history import EMPTY, REACH, History, log_snr, within_reach
from jvid.solvers.unipc import _phi
from jvid.testing import GaussianOracle, TwoModeOracle
from jvid.testing.solving import path

F64 = torch.float64
VP = TabulatedSchedule.scaled_linear()
ZERO = VP.zero_terminal_snr()
VE = VarianceExploding(0.01, 20.0)
FLOW = FlowMatching()
DETERMINISTIC = [
    DPMPP2M(),
    DPMPP2M("heun"),
    UniPC(),
    UniPC(3),
    UniPC(3, lower_order_final=False),
    UniPC(2, "bh1"),
]
SOLVERS = [*DETERMINISTIC, DPMPP2MSDE(), DPMPP2MSDE(0.5, "heun"), DPMPP2MSDE(1.5)]


def randn(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def steps_of(schedule, times, names=None):
    return path(schedule, times, lambda index, start: {names[index] if names else "a": 1.0})


def run(solver, oracle, x, steps, memories=None):
    memory, shape = solver.init(), x.shape
    for step in steps:
        x, memory = solver.step(
            x,
            step,
            lambda x, level: oracle(x, torch.tensor(level.t, dtype=F64), {}),
            lambda key, step=step: randn(*shape, seed=100 + step.index),
            memory,
        )
        if memories is not None:
            memories.append(memory)
    return x


# What is remembered


def remembered(steps, mode, length=3):
    """The indices that each step recalls."""
    history, out = EMPTY, []
    for step in steps:
        out.append([entry.index for entry in history.recall(step, mode)])
        history = history.add(step, mode, torch.zeros(1), length)
    return out


FALLING = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]


def test_who_recalls_what_where_experts_change():
    steps = steps_of(VP, FALLING, "aabbab")
    assert remembered(steps, "ignore") == [[], [0], [1, 0], [2, 1, 0], [3, 2, 1], [4, 3, 2]]
    assert remembered(steps, "restart") == [[], [0], [], [2], [], []]
    assert remembered(steps, "per-expert") == [[], [0], [], [2], [1, 0], [3, 2]]


def test_a_blend_of_the_same_experts_is_one_past_and_another_set_is_not():
    steps = steps_of(VP, FALLING)
    weights = [{"a": 0.7, "b": 0.3}, {"b": 0.6, "a": 0.4}, {"a": 1.0}, {"a": 0.5, "b": 0.5}]
    blended = [Step(s.index, s.count, s.start, s.end, w) for s, w in zip(steps, weights, strict=False)]
    assert remembered(blended, "per-expert") == [[], [0], [], [1, 0]]


def test_past_ends_where_the_walk_turned_round():
    down_up_down = [0.9, 0.7, 0.5, 0.6, 0.8, 0.65, 0.4]
    # At 0.5 and at 0.8 nothing lies behind; from 0.65 the way down began at 0.8.
    assert remembered(steps_of(VP, down_up_down), "ignore") == [[], [0], [], [2], [], [4]]
    # What lies at the very level is no past, nor is anything before it.
    assert remembered(steps_of(VP, [0.9, 0.7, 0.7, 0.5]), "ignore") == [[], [0], []]


@given(
    times=st.lists(st.floats(0.05, 0.95), min_size=2, max_size=9),
    names=st.text("abc", min_size=8, max_size=8),
    mode=st.sampled_from(["per-expert", "restart", "ignore"]),
    length=st.integers(1, 3),
)
def test_what_is_recalled_lies_behind_each_farther_than_the_last(times, names, mode, length):
    steps = steps_of(VP, times, list(names[: len(times) - 1]))
    history = EMPTY
    for step in steps:
        past = history.recall(step, mode)
        angles = [step.start.angle, *(entry.level.angle for entry in past)]
        rising = step.end.angle > step.start.angle
        assert all((b < a) if rising else (b > a) for a, b in pairwise(angles))
        if mode == "per-expert":
            assert all(steps[entry.index].active == step.active for entry in past)
        before = history
        history = history.add(step, mode, torch.zeros(1), length)
        assert history is not before
        assert all(len(kept) <= length for _, kept in history.entries)
        assert len(history.entries) <= (3 if mode == "per-expert" else 1)


def test_a_step_is_not_extrapolated_far_beyond_its_past():
    def level(value):  # of log(alpha / sigma)
        return Level(0.5, *(v / math.hypot(1, math.exp(-value)) for v in (1.0, math.exp(-value))))

    def kept(before, h):
        past = EMPTY.add(Step(0, 2, level(before), level(0.0)), "ignore", torch.zeros(1), 1)
        step = Step(1, 2, level(0.0), level(h))
        return within_reach(step, past.recall(step, "ignore"))

    assert len(kept(-0.1, 0.1 * REACH * 0.99)) == 1
    assert kept(-0.1, 0.1 * REACH * 1.01) == ()
    assert len(kept(-5.0, 0.1)) == 1
    assert kept(-0.1, 1e9) == ()


def test_a_history_is_a_value_and_survives_pickling():
    (step,) = steps_of(VP, [0.8, 0.7])
    history = EMPTY.add(step, "per-expert", torch.ones(2), 2)
    assert EMPTY.entries == ()
    again = pickle.loads(pickle.dumps(history))
    assert isinstance(again, History)
    assert torch.equal(again.entries[0][1][0].value, torch.ones(2))
    assert again.entries[0][1][0].level == step.start


# Steps


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("schedule", [VP, ZERO, VE, FLOW], ids=["vp", "zero", "ve", "flow"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_nothing_is_undefined_at_the_ends_of_a_schedule_nor_on_a_walk(solver, schedule, dtype):
    # From pure noise to clean; turns at levels that were visited; a level twice; up from clean, up to noise.
    for times in (
        [1, 0],
        [1, 0.5, 0],
        [1, 0.6, 0.3, 0.6, 0.6, 0.3, 0],
        [0, 0.5, 1, 0.2, 0],
        [0.5, 0.499999, 0.1, 0],
    ):
        steps = steps_of(schedule, times)
        x = randn(1, 2, 2, 2, 2, dtype=dtype) * math.hypot(steps[0].start.alpha, steps[0].start.sigma)
        out = run(solver, TwoModeOracle(schedule), x, steps)
        assert out.isfinite().all()
        assert out.dtype == dtype
        assert out.abs().max() < 5


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_the_scale_of_a_schedule_does_not_matter(solver):
    angles = torch.tensor([1.4, 1.2, 1.0, 0.7, 0.9, 1.1, 0.8, 0.5, 0.2, 0.0], dtype=F64)
    x, ends = randn(1, 2, 2, 3, 3), []
    for schedule in (VP, FLOW, VE):
        steps = steps_of(schedule, schedule.time_at(angles).tolist())
        norm = math.hypot(steps[0].start.alpha, steps[0].start.sigma)
        ends.append(run(solver, TwoModeOracle(schedule), x * norm, steps))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(ends[2], ends[0], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("solver", DETERMINISTIC, ids=str)
@pytest.mark.parametrize("schedule", [VP, FLOW], ids=["vp", "flow"])
def test_order_two_holds_down_up_and_down(solver, schedule):
    oracle, found = GaussianOracle(schedule, 0.4, 0.6), []
    for n in (24, 48, 96):
        legs = [(0.85, 0.35), (0.35, 0.65), (0.65, 0.15)]
        times = [legs[0][0], *(a + (b - a) * i / n for a, b in legs for i in range(1, n + 1))]
        steps = steps_of(schedule, times)
        x = randn(1, 2, 2, 3, 3)
        found.append(
            float((run(solver, oracle, x, steps) - oracle.flow(x, steps[0].start, steps[-1].end)).abs().max())
        )
    assert math.log2(found[-2] / found[-1]) > 1.75, found


def test_a_rising_step_of_the_sde_is_the_forward_process():
    steps = steps_of(VP, [0.6, 0.3, 0.5])
    x = randn(1, 1, 1, 2, 2)
    middle = run(DPMPP2MSDE(), TwoModeOracle(VP), x, steps[:1])
    a, b = steps[1].start, steps[1].end
    scale = b.alpha / a.alpha
    noise = math.sqrt(b.sigma**2 - (scale * a.sigma) ** 2)
    expected = scale * middle + noise * randn(1, 1, 1, 2, 2, seed=101)
    torch.testing.assert_close(
        run(DPMPP2MSDE(), TwoModeOracle(VP), x, steps), expected, rtol=1e-10, atol=1e-12
    )


@given(eta=st.floats(0.05, 2.0), start=st.floats(0.05, 0.95), ratio=st.floats(0.1, 0.95))
def test_the_marginal_is_right_whatever_eta(eta, start, ratio):
    (step,) = steps_of(VP, [start, start * ratio])

    def full(value):
        return torch.full((1, 1, 1, 1, 1), float(value), dtype=F64)

    def at(x, z):
        out, _ = DPMPP2MSDE(eta).step(full(x), step, lambda x, level: full(0), lambda key: full(z), EMPTY)
        return out.item()

    assert math.hypot(at(step.start.sigma, 0), at(0, 1)) == pytest.approx(step.end.sigma, rel=1e-9)


def test_eta_0_is_the_deterministic_form_and_one_step_is_ddim_or_ddpm():
    x, steps, oracle = randn(1, 2, 2, 3, 3), steps_of(VP, Leading(12)()), TwoModeOracle(VP)
    assert torch.equal(run(DPMPP2MSDE(0.0), oracle, x, steps), run(DPMPP2M(), oracle, x, steps))
    for solver, plain in [(DPMPP2M(), DDIM()), (UniPC(), DDIM()), (DPMPP2MSDE(), DDPM())]:
        one = steps_of(VP, [0.8, 0.4])
        torch.testing.assert_close(
            run(solver, oracle, x, one), run(plain, oracle, x, one), rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("solver", DETERMINISTIC, ids=str)
def test_restarting_at_every_step_is_ddim(solver):
    import attrs

    solver = attrs.evolve(solver, history="restart")
    x, steps = randn(1, 2, 2, 3, 3), steps_of(VP, [0.9, 0.7, 0.5, 0.3], "aba")
    oracle = TwoModeOracle(VP)
    torch.testing.assert_close(
        run(solver, oracle, x, steps), run(DDIM(), oracle, x, steps), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_memory_is_bounded_and_left_as_it_was(solver):
    steps = steps_of(VP, Leading(20)(), "abcacbabcacbabcacbab")
    memories = []
    run(solver, TwoModeOracle(VP), randn(1, 1, 1, 2, 2), steps, memories)
    sizes = [len(pickle.dumps(memory)) for memory in memories]
    assert max(sizes[10:]) <= 1.1 * max(sizes[:10])
    oracle = TwoModeOracle(VP)
    x = randn(1, 1, 1, 2, 2, seed=5)
    again = [
        solver.step(
            x,
            steps[10],
            lambda x, level: oracle(x, torch.tensor(level.t, dtype=F64), {}),
            lambda key: randn(1, 1, 1, 2, 2, seed=6),
            memories[9],  # one memory, twice
        )[0]
        for _ in range(2)
    ]
    assert torch.equal(*again)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("z", [-7.0, -1.0, -0.99, -0.1, -1e-6, 0.5, 3.0])
def test_the_functions_of_the_exponential_are_their_integrals(k, z):
    s, weights = np.polynomial.legendre.leggauss(40)
    s, weights = (s + 1) / 2, weights / 2
    expected = float((weights * np.exp((1 - s) * z) * s ** (k - 1)).sum()) / math.factorial(k - 1)
    assert _phi(k, z) == pytest.approx(expected, rel=1e-12)


def test_log_snr_is_infinite_at_the_ends():
    assert [log_snr(Level(t, a, s)) for t, a, s in [(0, 1, 0), (1, 0, 1), (0.5, 0.5, 0.5)]] == [
        math.inf,
        -math.inf,
        0,
    ]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: DPMPP2M("third"), "form='third'"),
        (lambda: DPMPP2M(history="all"), "history='all'"),
        (lambda: DPMPP2MSDE(-0.1), "eta=-0.1"),
        (lambda: DPMPP2MSDE(math.nan), "eta=nan"),
        (lambda: UniPC(4), "solver_order=4"),
        (lambda: UniPC(variant="bh3"), "variant='bh3'"),
        (lambda: UniPC(history=None), "history=None"),
    ],
)
def test_bad_options_are_reported(make, named):
    with pytest.raises(InputError, match="expected") as caught:
        make()
    assert named in str(caught.value)


def test_solvers_are_values():
    assert len({DPMPP2M(), DPMPP2M(), DPMPP2MSDE(), DPMPP2MSDE(1), UniPC(), UniPC(2)}) == 3
