"""Schedules: invariants, values, equality with diffusers' tables."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.levels import level_at
from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding

F64 = torch.float64
SCHEDULES: dict[str, NoiseSchedule] = {
    "linear": TabulatedSchedule.linear(),
    "scaled_linear": TabulatedSchedule.scaled_linear(),
    "cosine": TabulatedSchedule.cosine(),
    "zero_snr": TabulatedSchedule.scaled_linear().zero_terminal_snr(),
    "one_entry": TabulatedSchedule.from_betas([0.5]),
    "flat": TabulatedSchedule.from_betas([0.1, 0.0, 0.0, 0.2, 1.0]),
    "ve": VarianceExploding(),
    "ve_wide": VarianceExploding(1e-3, 700.0, 0.05),
    "flow": FlowMatching(),
    "flow_shift": FlowMatching(shift=5.0),
    "flow_unshift": FlowMatching(shift=0.3),
}
each = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
times = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=9)


@each
@given(times=times)
def test_levels_are_finite_and_the_angle_never_falls(schedule, times):
    t = torch.tensor(sorted([0.0, *times, 1.0]), dtype=F64)
    alpha, sigma = schedule(t)
    assert torch.isfinite(alpha).all()
    assert torch.isfinite(sigma).all()
    assert (alpha >= 0).all()
    assert (sigma >= 0).all()
    assert (alpha + sigma > 0).all()
    assert (torch.atan2(sigma, alpha).diff() >= -1e-15).all()
    assert (alpha[0], sigma[0]) == (1.0, 0.0)


@each
@given(times=times, dtype=st.sampled_from([torch.float32, F64, torch.float16]))
def test_a_batch_is_its_scalars_in_the_dtype_of_t(schedule, times, dtype):
    t = torch.tensor(times, dtype=dtype)
    alpha, sigma = schedule(t)
    assert (alpha.dtype, sigma.dtype, alpha.shape, sigma.shape) == (dtype, dtype, t.shape, t.shape)
    for i in range(len(times)):
        one = schedule(t[i])
        assert one[0].shape == ()
        assert (one[0], one[1]) == (alpha[i], sigma[i])
    grid = schedule(t.reshape(1, -1, 1))
    assert torch.equal(grid[0].flatten(), alpha)


@each
@given(times=times)
def test_time_at_inverts_the_angle(schedule, times):
    t = torch.tensor([0.0, *times, 1.0], dtype=F64)
    alpha, sigma = schedule(t)
    angle = torch.atan2(sigma, alpha)
    back = schedule.time_at(angle)
    assert back.shape == t.shape
    assert ((back >= 0) & (back <= 1)).all()
    again = torch.atan2(*reversed(schedule(back)))
    # A time within SNAP of an entry takes the entry's angle.
    torch.testing.assert_close(again, angle, rtol=0, atol=1e-9)
    if schedule not in (SCHEDULES["flat"],):
        torch.testing.assert_close(back, t, rtol=0, atol=1e-5)


@each
def test_time_at_clamps(schedule):
    beyond = torch.tensor([-0.1, math.pi / 2 + 1e-3, 3.0], dtype=F64)
    back = schedule.time_at(beyond)
    assert back[0] == 0.0
    assert back[1] == pytest.approx(1.0, abs=1e-12)
    assert back[2] == pytest.approx(1.0, abs=1e-12)


@each
def test_values_compare_hash_and_pickle(schedule):
    level_at(schedule, 0.3)  # fills caches, which are no part of the value
    copy = pickle.loads(pickle.dumps(schedule))
    assert copy == schedule
    assert hash(copy) == hash(schedule)
    assert level_at(copy, 0.7) == level_at(schedule, 0.7)
    assert len(repr(schedule)) < 200
    assert sum(schedule == other for other in SCHEDULES.values()) == 1


@pytest.mark.parametrize("T", [1000, 7, 1])
def test_entries_come_out_exactly(T):
    schedule = TabulatedSchedule.linear(T=T)
    n = torch.arange(T, dtype=F64)
    t = torch.tensor([(i + 1) / T for i in range(T)], dtype=F64)
    alpha, sigma = schedule(t)
    bar = torch.tensor(schedule.alphas_cumprod, dtype=F64)
    assert torch.equal(alpha, bar.sqrt())
    assert torch.equal(sigma, (1 - bar).sqrt())
    assert torch.equal(schedule.timestep(t), n)
    # The trip over the angle is float noise, which timesteps round off.
    assert torch.equal(schedule.timestep(schedule.time_at(torch.atan2(sigma, alpha))), n)
    assert schedule.timestep(torch.tensor(0.0, dtype=F64)) == 0.0
    assert schedule.timesteps == T


def test_float_noise_beside_an_entry_is_rounded_off_and_nothing_more():
    schedule = TabulatedSchedule.scaled_linear().zero_terminal_snr()
    for n in (0, 1, 500, 998, 999):
        t = (n + 1) / 1000
        for noise in (-5e-10, -1e-15, 1e-15, 5e-10):
            near = torch.tensor(min(t + noise, 1.0), dtype=F64)
            assert schedule.timestep(near) == n
            assert schedule(near) == schedule(torch.tensor(t, dtype=F64))
        assert schedule.timestep(torch.tensor(t - 2e-7, dtype=F64)) == pytest.approx(
            max(n - 2e-4, 0), abs=1e-9
        )


def test_between_entries_the_angle_is_linear():
    schedule = TabulatedSchedule.scaled_linear()
    low, mid, high = (level_at(schedule, t).angle for t in (0.5, 0.50025, 0.501))
    assert mid == pytest.approx(0.75 * low + 0.25 * high, abs=1e-14)


def test_tables_equal_those_of_diffusers():
    from diffusers import DDIMScheduler, DDPMScheduler
    from diffusers.schedulers.scheduling_ddpm import betas_for_alpha_bar, rescale_zero_terminal_snr

    linear = torch.linspace(1e-4, 0.02, 1000, dtype=F64)
    scaled = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=F64) ** 2
    for betas, ours in [(linear, TabulatedSchedule.linear()), (scaled, TabulatedSchedule.scaled_linear())]:
        table = torch.tensor(ours.alphas_cumprod, dtype=F64)
        torch.testing.assert_close(table, (1 - betas).cumprod(0), rtol=1e-13, atol=0)
        rescaled = torch.tensor(ours.zero_terminal_snr().alphas_cumprod, dtype=F64)
        theirs = (1 - rescale_zero_terminal_snr(betas)).cumprod(0)
        torch.testing.assert_close(rescaled, theirs, rtol=1e-10, atol=1e-15)
        assert rescaled[-1] == 0.0
    # As diffusers itself has them, in single precision.
    configs = [
        (DDPMScheduler(beta_schedule="linear"), TabulatedSchedule.linear()),
        (
            DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
            TabulatedSchedule.scaled_linear(),
        ),
        (DDPMScheduler(beta_schedule="squaredcos_cap_v2"), TabulatedSchedule.cosine()),
    ]
    for scheduler, ours in configs:
        torch.testing.assert_close(
            torch.tensor(ours.alphas_cumprod, dtype=F64),
            scheduler.alphas_cumprod.double(),
            rtol=3e-4,
            atol=1e-7,
        )
    exact = [
        min(
            1
            - math.cos(((n + 1) / 50 + 0.008) / 1.008 * math.pi / 2) ** 2
            / math.cos((n / 50 + 0.008) / 1.008 * math.pi / 2) ** 2,
            0.999,
        )
        for n in range(50)
    ]
    torch.testing.assert_close(torch.tensor(exact), betas_for_alpha_bar(50))
    table = torch.tensor(TabulatedSchedule.cosine(50).alphas_cumprod, dtype=F64)
    torch.testing.assert_close(table, (1 - torch.tensor(exact, dtype=F64)).cumprod(0), rtol=1e-12, atol=0)


def test_pure_noise_has_no_signal_at_all():
    level = level_at(SCHEDULES["zero_snr"], 1.0)
    assert (level.alpha, level.sigma) == (0.0, 1.0)


def test_flow_matching_is_its_formula():
    schedule = FlowMatching(shift=3.0)
    t = torch.linspace(0, 1, 11, dtype=F64)
    shifted = 3 * t / (1 + 2 * t)
    alpha, sigma = schedule(t)
    torch.testing.assert_close(alpha, 1 - shifted, rtol=0, atol=1e-15)
    torch.testing.assert_close(sigma, shifted, rtol=0, atol=1e-15)


def test_variance_exploding_is_geometric_above_its_ramp():
    schedule = VarianceExploding(0.01, 50.0, 0.02)
    assert level_at(schedule, 0.02).sigma == pytest.approx(0.01, rel=1e-14)
    assert level_at(schedule, 1.0).sigma == pytest.approx(50.0, rel=1e-13)
    assert level_at(schedule, 0.51).sigma == pytest.approx(math.sqrt(0.01 * 50.0), rel=1e-13)
    assert level_at(schedule, 0.005).sigma == pytest.approx(0.0025, rel=1e-13)


@pytest.mark.parametrize(
    ("build", "printed"),
    [
        (lambda: TabulatedSchedule(()), "empty"),
        (lambda: TabulatedSchedule((0.5, 0.6)), "alphas_cumprod[1]"),
        (lambda: TabulatedSchedule((float("nan"),)), "nan"),
        (lambda: TabulatedSchedule.from_betas([0.1, 1.5]), "betas[1] = 1.5"),
        (lambda: TabulatedSchedule.linear(T=0), "T = 0"),
        (lambda: TabulatedSchedule.from_betas([0.0, 0.0]).zero_terminal_snr(), "does not fall"),
        (lambda: VarianceExploding(1.0, 0.5), "sigma_min=1"),
        (lambda: VarianceExploding(t_min=0.0), "t_min=0"),
        (lambda: FlowMatching(0.0), "shift=0"),
        (lambda: level_at(FlowMatching(), 1.01), "outside [0, 1]: 1.01"),
        (lambda: level_at(TabulatedSchedule.linear(), -0.5), "outside [0, 1]: -0.5"),
        (lambda: level_at(VarianceExploding(), float("nan")), "outside [0, 1]: nan"),
        (lambda: FlowMatching()(torch.tensor(1)), "floating point"),
    ],
)
def test_bad_input_is_one_line(build, printed):
    with pytest.raises(InputError) as caught:
        build()
    assert printed in str(caught.value)
    assert "\n" not in str(caught.value)
