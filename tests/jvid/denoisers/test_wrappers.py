"""Guidance in an interval and rescaled, windows, known parts, corrections, cached conditions, and the memo."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jvid
from jvid import (
    DDIM,
    DDPM,
    DPMPP2M,
    DPMPP2MSDE,
    PNDM,
    Always,
    Cached,
    Corrected,
    Euler,
    EulerAncestral,
    Expert,
    Framewise,
    Guided,
    Heun,
    InputError,
    Known,
    Leading,
    PerFrame,
    Sampler,
    TabulatedSchedule,
    TemporalSmoothing,
    UniPC,
    Windowed,
)
from jvid.denoisers.cached import cached
from jvid.denoisers.first_frame import FirstFrame
from jvid.denoisers.memo import Memo
from jvid.testing import GaussianOracle

F64 = torch.float64
VP = TabulatedSchedule.scaled_linear()
T = torch.tensor(0.5, dtype=F64)
SOLVERS = [
    DDPM(),
    DDIM(),
    Euler(),
    EulerAncestral(),
    Heun(),
    PNDM(),
    PNDM("runge-kutta"),
    DPMPP2M(),
    DPMPP2MSDE(),
    UniPC(),
]


def randn(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Conditioned:
    """x_0 is half of x plus the text's mean; counts the rows that it is asked for."""

    schedule = VP

    def __init__(self):
        self.rows, self.frames, self.texts = [], [], []

    def __call__(self, x, t, cond):
        text = cond["text"].tensor if isinstance(cond["text"], PerFrame) else cond["text"]
        self.rows.append(len(x))
        self.frames.append(x.shape[2])
        self.texts.append(cond["text"])
        if isinstance(cond["text"], PerFrame):
            return 0.5 * x + text.mean(-1)[:, None, :, None, None].to(x)
        return 0.5 * x + text.flatten(1).mean(1).to(x).view(-1, 1, 1, 1, 1)


def conds(b=2):
    return {"text": randn(b, 3, 4), "null": {"text": randn(b, 3, 4, seed=1)}}


def test_guidance_acts_within_its_interval_alone():
    inner, x, cond = Conditioned(), randn(2, 3, 4, 2, 2), conds()
    plain, full = Guided(Conditioned(), 1.0), Guided(Conditioned(), 3.0)
    within = Guided(inner, 3.0, interval=(0.2, 0.5))
    for t, guided in ((0.5, True), (0.2, True), (0.51, False), (0.1, False)):
        time = torch.tensor(t, dtype=F64)
        expected = (full if guided else plain)(x, time, cond)
        assert torch.equal(within(x, time, cond), expected)
    assert inner.rows == [4, 4, 2, 2]  # outside, half the cost
    mixed = within(x, torch.tensor([0.3, 0.9], dtype=F64), cond)
    assert torch.equal(mixed[:1], full(x, T, cond)[:1])
    assert torch.equal(mixed[1:], plain(x, T, cond)[1:])


def test_guidance_inside_of_autoguidance_still_finds_its_null_condition():
    """Equation (4) twice: x_0 of the prompt against the empty one, then against the weaker model, which is guided too."""
    x, cond = randn(2, 3, 4, 5, 5), conds()
    strong, weak = Guided(Conditioned(), 2.0), Guided(Conditioned(), 0.5)
    auto = Guided(strong, 3.0, against=weak, interval=(0.2, 0.8))
    one, other = strong(x, T, cond), weak(x, T, cond)
    torch.testing.assert_close(auto(x, T, cond), other + 3.0 * (one - other), rtol=0, atol=1e-12)
    late = torch.tensor(0.9, dtype=F64)
    assert torch.equal(auto(x, late, cond), strong(x, late, cond))


@pytest.mark.parametrize("phi", [0.0, 0.7, 1.0])
def test_rescaled_guidance_is_the_papers_formula(phi):
    x, cond = randn(2, 3, 4, 2, 2), conds()
    conditional, guided = Guided(Conditioned(), 1.0)(x, T, cond), Guided(Conditioned(), 4.0)(x, T, cond)
    actual = Guided(Conditioned(), 4.0, rescale=phi)(x, T, cond)
    for b in range(2):
        ratio = conditional[b].std(correction=0) / guided[b].std(correction=0)
        torch.testing.assert_close(actual[b], phi * guided[b] * ratio + (1 - phi) * guided[b])
    alone = Guided(Conditioned(), 4.0, rescale=phi)(
        x[:1], T, {"text": cond["text"][:1], "null": {"text": cond["null"]["text"][:1]}}
    )
    torch.testing.assert_close(alone, actual[:1], atol=1e-14, rtol=0)


def test_guidance_hands_on_the_same_tensors_at_each_step():
    inner = Conditioned()
    guided = Guided(inner, 2.0)
    x, one, other = randn(2, 3, 4, 2, 2), conds(), conds()
    first = guided(x, T, one)
    guided(x, T, other)
    assert torch.equal(guided(x, T, one), first)
    assert inner.texts[0] is inner.texts[2]
    assert inner.texts[0] is not inner.texts[1]
    one["text"].add_(1.0)  # the same tensor says something else now
    changed = guided(x, T, one)
    assert torch.equal(changed, Guided(Conditioned(), 2.0)(x, T, one))
    assert not torch.equal(changed, first)


def test_the_memo_holds_what_it_knows():
    memo: Memo[int] = Memo(2)
    made = []

    def make():
        made.append(1)
        return len(made)

    tensors = [torch.zeros(1) for _ in range(3)]
    assert [memo({"a": tensors[i]}, make) for i in (0, 1, 0, 2, 0, 1)] == [1, 2, 1, 3, 1, 4]
    assert memo({"b": tensors[1]}, make) == 5  # another name
    memo.clear()
    assert memo({"b": tensors[1]}, make) == 6
    with torch.inference_mode():
        fresh = torch.zeros(1)
    assert memo({"b": fresh}, make) == memo({"b": fresh}, make) == 7


@given(f=st.integers(1, 40), size=st.integers(1, 16), data=st.data())
def test_windows_of_a_framewise_denoiser_are_the_denoiser(f, size, data):
    stride = data.draw(st.integers(1, size))
    x = randn(2, 2, f, 2, 2, seed=f)
    inner = Framewise(GaussianOracle(VP, 0.3, 0.5))
    windowed = Windowed(inner, size, stride)
    torch.testing.assert_close(windowed(x, T, {}), inner(x, T, {}), atol=1e-12, rtol=0)
    starts = windowed.starts(f)
    covered = {frame for start in starts for frame in range(start, min(start + size, f))}
    assert covered == set(range(f))
    assert starts[-1] + min(size, f) == f


def test_windows_pass_short_clips_cut_conditions_and_grow_linearly():
    inner = Conditioned()
    windowed = Windowed(inner, 16, 12)
    assert torch.equal(
        windowed(randn(1, 2, 16, 2, 2), T, conds(1)), Conditioned()(randn(1, 2, 16, 2, 2), T, conds(1))
    )
    calls = []
    for f in (16, 64, 128):
        inner.frames.clear()
        windowed(randn(1, 2, f, 2, 2), T, conds(1))
        calls.append(len(inner.frames))
        assert set(inner.frames) == {16}
    assert calls == [1, 5, 11]
    per_frame = {"text": PerFrame(randn(1, 20, 3))}
    x = randn(1, 2, 20, 2, 2)
    torch.testing.assert_close(Windowed(Conditioned(), 8, 4)(x, T, per_frame), Conditioned()(x, T, per_frame))
    with pytest.raises(InputError, match="has 19 frames"):
        windowed(x, T, {"text": PerFrame(randn(1, 19, 3))})


def test_windows_fade_into_each_other():
    class Window:
        schedule = VP

        def __init__(self):
            self.calls = 0

        def __call__(self, x, t, cond):
            self.calls += 1
            return torch.full_like(x, float(self.calls))

    line = Windowed(Window(), 8, 4)(randn(1, 1, 12, 1, 1), T, {}).flatten()
    assert torch.equal(line[:4], torch.ones(4, dtype=F64))
    assert torch.equal(line[-4:], torch.full((4,), 2.0, dtype=F64))
    assert bool((line.diff() >= 0).all())
    assert line[4:8].diff().min() > 0


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_known_parts_come_out_to_the_bit_and_change_nothing_elsewhere(solver):
    oracle, known = GaussianOracle(VP, -0.5, 0.3), randn(2, 4, 2, 3, 3, seed=7)
    plain = Sampler({"a": Expert(oracle)}, Always("a"), solver, Leading(8))
    inside = Sampler({"a": Expert(Known.frames(oracle, known, [0, 3], 5))}, Always("a"), solver, Leading(8))
    options = {"seeds": [1, 2], "dtype": F64}
    expected, clip = plain((4, 5, 3, 3), **options), inside((4, 5, 3, 3), **options)
    assert torch.allclose(clip[:, :, [0, 3]], known, atol=1e-12, rtol=0)
    assert torch.equal(clip[:, :, [1, 2, 4]], expected[:, :, [1, 2, 4]])


def test_known_refuses_what_does_not_fit():
    oracle = GaussianOracle(VP)
    known = Known(oracle, torch.ones(1, 1, 1, 1, 1), torch.zeros(2, 1, 1, 1, 1))
    with pytest.raises(InputError, match="put Known around Guided"):
        known(randn(4, 1, 1, 1, 1), T, {})
    for wrong in (lambda: Known(oracle, torch.ones(1), torch.zeros(1, 1, 1, 1, 1)),
                  lambda: Known(oracle, 2 * torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1)),
                  lambda: Known.frames(oracle, torch.zeros(1, 4, 2, 1, 1), [0, 0], 4),
                  lambda: Known.frames(oracle, torch.zeros(1, 4, 1, 1, 1), [4], 4)):  # fmt: skip
        with pytest.raises(InputError):
            wrong()
    whole = Known(oracle, torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1))
    for around, name in ((lambda d: Guided(d, 2.0), "Guided"), (lambda d: Windowed(d, 2, 1), "Windowed"),
                         (Framewise, "Framewise"), (lambda d: FirstFrame(oracle, d), "FirstFrame"),
                         (lambda d: FirstFrame(d, oracle), "FirstFrame"),
                         (lambda d: Corrected(Cached(d, dict), lambda x: x), "Corrected")):  # fmt: skip
        with pytest.raises(
            InputError, match=f"{name} around Known would change what Known keeps: expected Known around"
        ):
            around(whole)
    half = Known(oracle, torch.full((1, 1, 1, 1, 1), 0.25), torch.ones(1, 1, 1, 1, 1))
    x = randn(1, 1, 2, 2, 2)
    torch.testing.assert_close(half(x, T, {}), 0.25 + 0.75 * oracle(x, T, {}))


def test_corrections_act_within_their_interval():
    oracle, x = GaussianOracle(VP, 0.2, 0.5), randn(2, 3, 4, 2, 2)
    smooth = TemporalSmoothing(2.0)
    assert torch.equal(Corrected(oracle, smooth)(x, T, {}), smooth(oracle(x, T, {})))
    early = Corrected(oracle, smooth, interval=(0.6, 1.0))
    assert torch.equal(early(x, T, {}), oracle(x, T, {}))
    times = torch.tensor([0.7, 0.3], dtype=F64)
    mixed = early(x, times, {})
    assert torch.equal(mixed[0], smooth(oracle(x, times, {}))[0])
    assert torch.equal(mixed[1], oracle(x, times, {})[1])


def test_conditions_are_prepared_once_a_run():
    prepared = []

    def prepare(cond):
        prepared.append(1)
        return {"text": 2 * cond["text"]}

    wrapped = Cached(Conditioned(), prepare)
    sampler = Sampler({"a": Expert(wrapped)}, Always("a"), DDIM(), Leading(5))
    runs = [{"text": randn(1, 2, 3, seed=i)} for i in range(2)]
    traces = [sampler.trace((2, 2, 2, 2), seeds=[0], cond=cond) for cond in runs]
    last = [list(pair) for pair in zip(*traces, strict=True)][-1]  # in turn
    assert len(prepared) == 2
    for cond, state in zip(runs, last, strict=True):
        plain = Sampler({"a": Expert(Conditioned())}, Always("a"), DDIM(), Leading(5))
        torch.testing.assert_close(state.x, plain((2, 2, 2, 2), seeds=[0], cond={"text": 2 * cond["text"]}))
    wrapped.clear()
    wrapped(randn(1, 2, 2, 2, 2), T, runs[0])
    assert len(prepared) == 3


def test_conditions_are_moved_and_cast_by_name():
    seen = []

    class Looks(GaussianOracle):
        def __call__(self, x, t, cond):
            seen.append(cond)
            return super().__call__(x, t, cond)

    cond = {"text": randn(1, 2), "frames": PerFrame(randn(1, 2)), "ids": torch.ones(1, 2, dtype=torch.int64),
            "null": {"text": randn(1, 2)}, "size": 3}  # fmt: skip
    wrapped = jvid.load("wrapper", "cached", denoiser=Looks(VP), dtype="bfloat16", device="cpu")
    x = randn(1, 2, 2, 2, 2)
    assert torch.equal(wrapped(x, T, cond), wrapped(x, T, cond))
    assert seen[0] is seen[1]
    stated = seen[0]
    dtypes = (
        stated["text"].dtype,
        stated["frames"].tensor.dtype,
        stated["null"]["text"].dtype,
        stated["ids"].dtype,
    )
    assert dtypes == (*[torch.bfloat16] * 3, torch.int64)
    assert stated["size"] == 3
    kept = jvid.load("wrapper", "cached", denoiser=Looks(VP))
    kept(x, T, cond)
    assert seen[2]["text"] is cond["text"]


@pytest.mark.parametrize(
    "make",
    [
        lambda d: cached(d, dtype="int64"),
        lambda d: cached(d, dtype="nothing"),
        lambda d: cached(d, device="abacus"),
        lambda d: cached(d, "text"),
        lambda d: cached(d, dict, dtype="float32"),
        lambda d: Guided(d, 2.0, interval=(0.5, 0.2)),
        lambda d: Guided(d, 2.0, rescale=1.5),
        lambda d: Windowed(d, 0, 1),
        lambda d: Windowed(d, 4, 5),
        lambda d: Windowed(d, 4.0, 2),
        lambda d: Corrected(d, TemporalSmoothing(1.0), interval=(0.0, 2.0)),
        lambda d: Cached(d, lambda cond: cond, size=0),
    ],
)
def test_constructors_refuse(make):
    with pytest.raises(InputError):
        make(GaussianOracle(VP))
