"""Parameterized and the wrappers Guided, Framewise, Bridged; conditions; oracles."""

from __future__ import annotations

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.bridged import Bridged
from jvid.core.conditions import PerFrame, concat, fold_frames
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.denoisers.parameterized import Parameterized
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.testing import GaussianOracle, TwoModeOracle

F64 = torch.float64
VP = TabulatedSchedule.scaled_linear()
ZERO = VP.zero_terminal_snr()
VE = VarianceExploding()
FLOW = FlowMatching(shift=3.0)
SCHEDULES = [VP, TabulatedSchedule.cosine(), ZERO, VE, FLOW]


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def column(level: torch.Tensor) -> torch.Tensor:
    return level.reshape(-1, 1, 1, 1, 1)


@attrs.frozen(eq=False)
class Toy:
    """Reads everything that it is given: x, t, tokens and a value per frame; frames do not mix."""

    schedule: object = VP

    def __call__(self, x, t, cond):
        text = cond["text"].to(x).mean(dim=(1, 2))
        assert text.shape[0] == x.shape[0]
        time = column(t.to(x)) if t.ndim else t.to(x)
        out = torch.sin(x) * (1 + time) + column(text) * x.flip(-1)
        if "fps" in cond:
            value = cond["fps"]
            if isinstance(value, PerFrame):
                out = out + value.tensor[:, None, :, None, None].to(x)
            else:
                out = out + column(value.to(x))
        return out


# Parameterized


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "flow"])
@given(times=st.lists(st.floats(0.0, 0.98), min_size=2, max_size=2))
def test_every_prediction_gives_back_x0(schedule, prediction, times):
    t = torch.tensor(times, dtype=F64)
    alpha, sigma = (column(level) for level in schedule(t))
    x_0, eps = randn(2, 4, 3, 2, 2), randn(2, 4, 3, 2, 2, seed=1)
    truth = {"eps": eps, "x0": x_0, "v": alpha * eps - sigma * x_0, "flow": eps - x_0}[prediction]
    denoiser = Parameterized(lambda x, t, cond: truth, schedule, prediction)
    result = denoiser(alpha * x_0 + sigma * eps, t, {})
    torch.testing.assert_close(result, x_0, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("prediction", ["x0", "v", "flow"])
def test_pure_noise_is_no_trouble_but_for_eps(prediction):
    x = randn(1, 4, 1, 2, 2)
    for t in (0.0, 1.0):
        assert torch.isfinite(
            Parameterized(lambda x, t, c: x, ZERO, prediction)(x, torch.tensor(t, dtype=F64), {})
        ).all()


def test_eps_without_signal_is_refused_by_level():
    denoiser = Parameterized(lambda x, t, cond: x, ZERO, "eps")
    with pytest.raises(InputError, match="t = 1, where alpha = 0"):
        denoiser(randn(2, 4, 1, 2, 2), torch.tensor([0.5, 1.0], dtype=F64), {})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, F64])
def test_arithmetic_is_single_precision_at_least(dtype):
    t = torch.tensor(0.9, dtype=F64)
    x, eps = randn(1, 4, 2, 3, 3, dtype=dtype), randn(1, 4, 2, 3, 3, seed=1, dtype=dtype)
    result = Parameterized(lambda x, t, cond: eps, VP)(x, t, {})
    assert result.dtype == dtype
    alpha, sigma = VP(t)
    exact = (x.double() - sigma * eps.double()) / alpha
    rounded = exact.to(dtype)
    # One rounding to the dtype, not several: computing in halves would be off by many units.
    assert (result.double() - exact).abs().max() <= (rounded.double() - exact).abs().max() * 1.01 + 2e-5 * (
        dtype != F64
    ) + 1e-12


def test_a_network_sees_x_t_and_cond_as_they_came():
    seen = []
    denoiser = Parameterized(lambda x, t, cond: seen.append((x, t, cond)) or x, VP)
    x, t, cond = randn(2, 4, 1, 2, 2, dtype=torch.float32), torch.tensor([0.1, 0.9], dtype=F64), {"text": 1}
    kept = x.clone()
    denoiser(x, t, cond)
    assert all(got is given for got, given in zip(seen[0], (x, t, cond), strict=True))
    assert torch.equal(x, kept)


@pytest.mark.parametrize(
    ("call", "printed"),
    [
        (lambda: Parameterized(lambda x, t, c: x, VP, "epsilon"), "prediction='epsilon'"),
        (
            lambda: Parameterized(lambda x, t, c: x[:, :2], VP)(randn(1, 4, 1, 2, 2), torch.tensor(0.5), {}),
            "(1, 2, 1, 2, 2)",
        ),
        (
            lambda: Parameterized(lambda x, t, c: x, VP)(randn(1, 4, 2, 2), torch.tensor(0.5), {}),
            "(b, c, f, h, w)",
        ),
        (
            lambda: Parameterized(lambda x, t, c: x, VP)(randn(3, 4, 1, 2, 2), torch.rand(2), {}),
            "expected () or (3,)",
        ),
        (lambda: Guided(Toy(), float("inf")), "scale=inf"),
        (
            lambda: Guided(Toy(), 2)(randn(1, 4, 1, 2, 2), torch.tensor(0.5), {"text": randn(1, 2, 3)}),
            "'null'",
        ),
        (
            lambda: Guided(Toy(), 2, null={"text": randn(1, 2, 3)})(
                randn(1, 4, 1, 2, 2), torch.tensor(0.5), {}
            ),
            "needs the condition 'text'",
        ),
        (
            lambda: Guided(Toy(), 2, null={"text": randn(1, 5, 3)})(
                randn(1, 4, 1, 2, 2), torch.tensor(0.5), {"text": randn(1, 2, 3)}
            ),
            "'text' has shape (1, 2, 3) and its null value (1, 5, 3)",
        ),
        (
            lambda: Framewise(Toy())(randn(2, 4, 3, 2, 2), torch.tensor(0.5), {"text": randn(3, 2, 3)}),
            "'text' has 3 rows",
        ),
        (
            lambda: Framewise(Toy())(
                randn(2, 4, 3, 2, 2),
                torch.tensor(0.5),
                {"text": randn(2, 2, 3), "fps": PerFrame(randn(2, 4))},
            ),
            "'fps' has 4 frames; the clip has 3",
        ),
        (lambda: PerFrame(randn(3)), "(b, f, ...)"),
        (lambda: GaussianOracle(VP, std=-1), "std=-1"),
        (lambda: TwoModeOracle(VP, std=0), "std=0"),
    ],
)
def test_bad_input_is_one_line(call, printed):
    with pytest.raises(InputError) as caught:
        call()
    assert printed in str(caught.value)
    assert "\n" not in str(caught.value)


# Guided


@given(
    scale=st.floats(-3, 12),
    b=st.integers(1, 3),
    per_sample=st.booleans(),
    shared_null=st.booleans(),
    own=st.booleans(),
)
def test_guided_is_equation_4_of_its_two_parts(scale, b, per_sample, shared_null, own):
    x, text = randn(b, 4, 3, 2, 2), randn(b, 2, 3, seed=1)
    null = {"text": randn(1 if shared_null else b, 2, 3, seed=2)}
    t = torch.linspace(0.2, 0.8, b, dtype=F64) if per_sample else torch.tensor(0.4, dtype=F64)
    plain = {"text": text, "fps": torch.arange(b)}
    full = {"text": null["text"].expand(b, 2, 3), "fps": torch.arange(b)}
    guided = Guided(Toy(), scale, null=null if own else None)
    result = guided(x, t, plain if own else {**plain, "null": null})
    e, e0 = Toy()(x, t, plain), Toy()(x, t, full)
    torch.testing.assert_close(result, e0 + scale * (e - e0), rtol=1e-12, atol=1e-12)


def test_guided_evaluates_once_and_only_what_it_needs():
    batches = []

    class Spy(Toy):
        def __call__(self, x, t, cond):
            assert "null" not in cond
            batches.append(cond["text"].clone())
            return super().__call__(x, t, cond)

    x, cond = randn(1, 4, 1, 2, 2), {"text": torch.ones(1, 2, 3), "null": {"text": torch.zeros(1, 2, 3)}}
    t = torch.tensor(0.5)
    for scale in (2.0, 1.0, 0.0):
        Guided(Spy(), scale)(x, t, cond)
    assert [batch[:, 0, 0].tolist() for batch in batches] == [[1.0, 0.0], [1.0], [0.0]]
    # Unguided needs no null, unconditional no condition.
    Guided(Spy(), 1.0)(x, t, {"text": cond["text"]})
    Guided(Spy(), 0.0)(x, t, {"null": cond["null"]})
    assert Guided(Toy(FLOW)).schedule is FLOW


@given(a=st.floats(-4, 8), b=st.floats(-4, 8), w=st.floats(0, 1))
def test_guided_is_linear_in_its_scale(a, b, w):
    x, t = randn(2, 4, 2, 2, 2), torch.tensor(0.3, dtype=F64)
    cond = {"text": randn(2, 2, 3, seed=1), "null": {"text": randn(1, 2, 3, seed=2)}}
    at = lambda scale: Guided(Toy(), scale)(x, t, cond)  # noqa: E731
    torch.testing.assert_close(at(w * a + (1 - w) * b), w * at(a) + (1 - w) * at(b), rtol=1e-10, atol=1e-10)


# Framewise


@given(b=st.integers(1, 3), f=st.integers(1, 5), per_sample=st.booleans(), seed=st.integers(0, 99))
def test_framewise_is_the_image_model_frame_by_frame(b, f, per_sample, seed):
    x, text, fps = randn(b, 4, f, 3, 2, seed=seed), randn(b, 2, 3, seed=1), randn(b, f, seed=2)
    t = torch.linspace(0.2, 0.8, b, dtype=F64) if per_sample else torch.tensor(0.4, dtype=F64)
    lifted = Framewise(Toy(FLOW))
    result = lifted(x, t, {"text": text, "fps": PerFrame(fps), "note": "kept"})
    frames = [Toy(FLOW)(x[:, :, i : i + 1], t, {"text": text, "fps": fps[:, i]}) for i in range(f)]
    torch.testing.assert_close(result, torch.cat(frames, dim=2), rtol=0, atol=0)
    assert lifted.schedule is FLOW
    # Frames do not know of one another: a permutation passes through.
    order = torch.randperm(f, generator=torch.Generator().manual_seed(seed))
    shuffled = lifted(x[:, :, order], t, {"text": text, "fps": PerFrame(fps[:, order])})
    assert torch.equal(shuffled, result[:, :, order])


@given(b=st.integers(1, 3), f=st.integers(1, 4), null_rows=st.sampled_from([1, None]))
def test_guiding_frames_is_guiding_clips(b, f, null_rows):
    x, t = randn(b, 4, f, 2, 2), torch.tensor(0.4, dtype=F64)
    cond = {"text": randn(b, 2, 3, seed=1), "null": {"text": randn(null_rows or b, 2, 3, seed=2)}}
    inside, outside = Framewise(Guided(Toy(), 3.0)), Guided(Framewise(Toy()), 3.0)
    torch.testing.assert_close(inside(x, t, cond), outside(x, t, cond), rtol=0, atol=0)


# Bridged


@given(
    outer=st.sampled_from(SCHEDULES),
    inner=st.sampled_from(SCHEDULES),
    time=st.floats(0.0, 0.95),
    two_modes=st.booleans(),
    per_sample=st.booleans(),
)
def test_a_bridged_oracle_is_the_oracle_of_the_outer_schedule(outer, inner, time, two_modes, per_sample):
    oracle = (
        (lambda s: TwoModeOracle(s, 1.0, 0.5, 0.2)) if two_modes else (lambda s: GaussianOracle(s, 0.3, 0.7))
    )
    t = torch.tensor([time, 0.5 * time] if per_sample else time, dtype=F64)
    alpha, sigma = outer(t)
    # Only angles that the inner schedule reaches: beyond them there is nothing to be equal to.
    if torch.atan2(sigma, alpha).max() > torch.atan2(*reversed(inner(torch.tensor(1.0, dtype=F64)))):
        return
    x = randn(2, 4, 2, 2, 2) * torch.hypot(alpha, sigma).max()
    bridged = Bridged(oracle(inner), outer)
    torch.testing.assert_close(bridged(x, t, {}), oracle(outer)(x, t, {}), rtol=1e-6, atol=1e-7)


@given(outer=st.sampled_from(SCHEDULES), inner=st.sampled_from(SCHEDULES), time=st.floats(0.0, 0.95))
def test_bridged_there_and_back_is_the_identity(outer, inner, time):
    t = torch.tensor(time, dtype=F64)
    if level_angle(inner, t) > level_angle(outer, torch.tensor(1.0, dtype=F64)):
        return
    cond = {"text": randn(2, 2, 3)}
    x = randn(2, 4, 2, 2, 2)
    there_and_back = Bridged(Bridged(Toy(inner), outer), inner)
    assert there_and_back.schedule == inner
    torch.testing.assert_close(there_and_back(x, t, cond), Toy(inner)(x, t, cond), rtol=1e-5, atol=1e-5)


def level_angle(schedule, t):
    return torch.atan2(*reversed(schedule(t)))


def test_bridged_hands_exact_entries_on():
    seen = []
    inner = Parameterized(lambda x, t, cond: seen.append(VP.timestep(t).item()) or x, VP, "x0")
    bridged = Bridged(inner, TabulatedSchedule.linear())
    bridged(randn(1, 4, 1, 2, 2), torch.tensor(0.5, dtype=F64), {})
    same = Bridged(inner, TabulatedSchedule.scaled_linear())
    same(randn(1, 4, 1, 2, 2, dtype=torch.float32), torch.tensor(0.981, dtype=F64), {})
    assert 500 < seen[0] < 999  # linear betas are noisier at equal time
    assert seen[1] == 980


@pytest.mark.parametrize("outer", SCHEDULES)
@pytest.mark.parametrize("inner", SCHEDULES)
def test_bridged_is_exact_to_1e_10_away_from_entries(outer, inner):
    # Within SNAP of an entry the level is the entry's, which costs up to 1e-6 of a table step.
    x = randn(1, 4, 1, 2, 2)
    for t in (0.0312345, 0.3123456, 0.7654321, 0.8543219):
        time = torch.tensor(t, dtype=F64)
        if level_angle(outer, time) < level_angle(inner, torch.tensor(1.0, dtype=F64)):
            ours, theirs = (
                Bridged(TwoModeOracle(inner), outer)(x, time, {}),
                TwoModeOracle(outer)(x, time, {}),
            )
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("outer", SCHEDULES)
@pytest.mark.parametrize("inner", SCHEDULES)
def test_bridged_is_finite_at_both_ends(outer, inner):
    x = randn(1, 4, 1, 2, 2)
    for t in (0.0, 1.0):
        out = Bridged(GaussianOracle(inner, 0.3, 0.5), outer)(x, torch.tensor(t, dtype=F64), {})
        assert torch.isfinite(out).all()
        if t == 0.0:
            torch.testing.assert_close(out, x)


def test_pure_noise_goes_to_the_noisiest_level_there_is():
    seen = []
    inner = Parameterized(lambda x, t, cond: seen.append((x, float(t))) or x, VP, "x0")
    x = randn(1, 4, 1, 2, 2)
    Bridged(inner, FLOW)(x, torch.tensor(1.0, dtype=F64), {})
    assert seen[0][1] == 1.0
    torch.testing.assert_close(seen[0][0], x)  # both have norm 1 there


def test_bridged_keeps_the_dtype_of_x():
    for dtype in (torch.bfloat16, torch.float32, F64):
        out = Bridged(GaussianOracle(VE), VP)(
            randn(1, 4, 1, 2, 2, dtype=dtype), torch.tensor(0.6, dtype=F64), {}
        )
        assert out.dtype == dtype


# Conditions


def test_folded_frames_keep_what_is_not_a_batch():
    cond = {
        "text": torch.arange(3)[:, None],
        "p": PerFrame(torch.arange(6).reshape(3, 2)),
        "n": {"one": torch.zeros(1, 2)},
        "s": "a",
    }
    folded = fold_frames(cond, 3, 2)
    assert folded["p"].tolist() == [0, 1, 2, 3, 4, 5]
    assert folded["n"]["one"].shape == (6, 2)
    assert folded["s"] == "a"


def test_concat_refuses_what_cannot_share_a_batch():
    with pytest.raises(InputError, match="'fps' is 8 and its null value 9"):
        concat({"fps": 8}, {"fps": 9})
    with pytest.raises(InputError, match="'fps' is missing"):
        concat({}, {"fps": 9})
    both = concat({"p": PerFrame(torch.zeros(1, 2)), "n": 1}, {"p": PerFrame(torch.ones(1, 2)), "n": 1})
    assert both["p"].tensor.tolist() == [[0, 0], [1, 1]]


# Oracles


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("t", [0.0, 0.3, 0.9, 1.0])
def test_oracles_are_the_posterior_mean_by_quadrature(schedule, t):
    time = torch.tensor(t, dtype=F64)
    alpha, sigma = schedule(time)
    grid = torch.linspace(-6, 6, 400_001, dtype=F64)
    x = torch.tensor([-1.3, 0.2, 2.0], dtype=F64) * max(float(torch.hypot(alpha, sigma)), 1.0)
    normal = lambda m, d: torch.exp(-0.5 * ((grid - m) / d) ** 2)  # noqa: E731
    cases = [
        (GaussianOracle(schedule, 0.4, 0.6), normal(0.4, 0.6)),
        (TwoModeOracle(schedule, 1.0, 0.3, 0.2), normal(-0.8, 0.3) + normal(1.2, 0.3)),
    ]
    for oracle, prior in cases:
        result = oracle(x.reshape(1, 1, 1, 1, 3), time, {}).flatten()
        for value, got in zip(x, result, strict=True):
            if sigma == 0:
                assert got == pytest.approx(float(value / alpha), abs=1e-12)
                continue
            weight = prior * torch.exp(-0.5 * ((value - alpha * grid) / sigma) ** 2)
            assert got == pytest.approx(float((weight * grid).sum() / weight.sum()), abs=1e-6)


@given(
    shape=st.tuples(
        st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)
    )
)
def test_samples_do_not_know_of_their_batch(shape):
    x, t = randn(*shape), torch.linspace(0.1, 0.9, shape[0], dtype=F64)
    for oracle in (GaussianOracle(VP, 0.3, 0.5), TwoModeOracle(FLOW), GaussianOracle(VE, 1.0, 0.0)):
        whole = oracle(x, t, {})
        for i in range(shape[0]):
            assert torch.equal(whole[i : i + 1], oracle(x[i : i + 1], t[i], {}))
