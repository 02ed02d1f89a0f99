"""EDM's preconditioning: diffusers' formulas on the same numbers, closed-form networks, and mixing with other schedules."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid import (
    DPMPP2M,
    Cycle,
    Expert,
    Explicit,
    FlowMatching,
    InputError,
    Preconditioned,
    Sampler,
    TabulatedSchedule,
    VarianceExploding,
)
from jvid.testing import GaussianOracle, TwoModeOracle, conforms, strategies

F64 = torch.float64
VP = TabulatedSchedule.scaled_linear()


def raw(oracle, std=0.5, sign=1):
    """F of a network that knows what the oracle knows: x_0 = c_skip x' + c_out F, solved for F by hand, at equal ratios."""

    def network(scaled, noise, cond):
        s = (4.0 * noise).exp().double().reshape(-1, 1, 1, 1, 1)
        clean = scaled.double() * (s**2 + std**2).sqrt()  # x' = x_0 + s eps
        t = VarianceExploding().time_at(torch.atan2(s, torch.ones_like(s))).reshape(-1)
        x_0 = oracle(clean, t if scaled.shape[0] == t.shape[0] else t.reshape(()), cond).double()
        skip, out = std**2 / (s**2 + std**2), sign * s * std / (s**2 + std**2).sqrt()
        return ((x_0 - skip * clean) / out).to(scaled.dtype)

    return network


@pytest.mark.parametrize("sign", [1, -1])
@given(ratio=st.floats(0.01, 70.0), std=st.floats(0.1, 2.0), seed=st.integers(0, 9))
def test_it_is_diffusers_preconditioning(sign, ratio, std, seed):
    from diffusers import EDMEulerScheduler

    kind = "epsilon" if sign == 1 else "v_prediction"
    scheduler = EDMEulerScheduler(sigma_data=std, prediction_type=kind)
    g = torch.Generator().manual_seed(seed)
    x, predicted = (torch.randn(2, 3, 1, 4, 4, generator=g, dtype=F64) for _ in range(2))
    seen = []

    def network(scaled, noise, cond):
        seen.append((scaled, noise))
        return predicted

    schedule = VarianceExploding()
    t = schedule.time_at(torch.atan(torch.tensor(ratio, dtype=F64)))
    sigma = schedule(t)[1]
    x_0 = Preconditioned(network, std=std, sign=sign)(x, t, {})
    scaled, noise = seen[0]
    torch.testing.assert_close(scaled, scheduler.precondition_inputs(x, sigma))
    torch.testing.assert_close(noise, scheduler.precondition_noise(sigma))
    torch.testing.assert_close(x_0, scheduler.precondition_outputs(x, predicted, sigma))


@pytest.mark.parametrize(
    "schedule", [VarianceExploding(), VP, FlowMatching(), TabulatedSchedule.cosine()], ids=repr
)
@pytest.mark.parametrize("sign", [1, -1])
def test_on_any_schedule_a_network_that_knows_the_answer_gives_it(schedule, sign):
    oracle = TwoModeOracle(VarianceExploding(), 0.8, 0.3)
    denoiser = Preconditioned(raw(oracle, 0.7, sign), schedule, std=0.7, sign=sign)
    expected = TwoModeOracle(schedule, 0.8, 0.3)
    x = torch.randn(3, 2, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=F64)
    for t in (torch.tensor(0.4, dtype=F64), torch.tensor([0.1, 0.5, 0.9], dtype=F64)):
        torch.testing.assert_close(denoiser(x, t, {}), expected(x, t, {}), atol=1e-9, rtol=0)


def test_the_clean_end_is_x_itself_and_no_network_runs():
    denoiser = Preconditioned(lambda x, noise, cond: pytest.fail("asked"), VP)
    x = torch.randn(2, 1, 1, 2, 2)
    assert torch.equal(denoiser(x, torch.tensor(0.0, dtype=F64), {}), x)
    mixed = Preconditioned(lambda x, noise, cond: torch.zeros_like(x), VP)
    out = mixed(x, torch.tensor([0.0, 0.5], dtype=F64), {})
    torch.testing.assert_close(out[:1], x[:1])
    assert out.isfinite().all()


@pytest.mark.parametrize("schedule", [VarianceExploding(), VP])
def test_it_conforms(schedule):
    network = raw(GaussianOracle(VarianceExploding(), 0.3, 0.5))
    denoiser = Preconditioned(network, schedule)
    data = 0.3 + 0.5 * torch.randn(4, 3, 2, 5, 5, generator=torch.Generator().manual_seed(2), dtype=F64)
    conforms("denoiser", denoiser, data=data, times=(0.01, 1.0)).raise_for_failures()


def test_edm_and_eps_experts_take_turns_and_equal_one():
    edm = Preconditioned(raw(GaussianOracle(VarianceExploding(), 0.4, 0.6)))
    experts = {"edm": Expert(edm), "vp": Expert(GaussianOracle(VP, 0.4, 0.6))}
    options = {
        "schedule": VP,
        "solver": DPMPP2M(history="ignore"),
        "grid": Explicit((0.9, 0.7, 0.5, 0.3, 0.1, 0.0)),
    }
    turns = Sampler(experts, Cycle(("edm", "vp")), **options)((2, 3, 4, 4), seeds=[0], dtype=F64)
    alone = Sampler(experts, Cycle(("vp",)), **options)((2, 3, 4, 4), seeds=[0], dtype=F64)
    torch.testing.assert_close(turns, alone, atol=1e-10, rtol=0)


@given(t=strategies.times(0.0, 0.999))
def test_float32_latents_stay_float32_and_finite(t):
    denoiser = Preconditioned(lambda x, noise, cond: x, FlowMatching())
    x = torch.ones(1, 1, 1, 1, 1)
    out = denoiser(x, torch.tensor(t, dtype=F64), {})
    assert out.dtype == torch.float32
    assert out.isfinite().all()


def test_bad_input_states_what_was_expected():
    with pytest.raises(InputError, match="std=0; expected the data's deviation"):
        Preconditioned(lambda x, n, c: x, std=0.0)
    with pytest.raises(InputError, match="sign=2"):
        Preconditioned(lambda x, n, c: x, sign=2)
    x = torch.ones(1, 1, 1, 1, 1)
    with pytest.raises(InputError, match="where its noise level is infinite"):
        Preconditioned(lambda x, n, c: x, FlowMatching())(x, torch.tensor(1.0, dtype=F64), {})
    with pytest.raises(InputError, match="the network returned shape"):
        Preconditioned(lambda x, n, c: x[..., :0])(x, torch.tensor(0.5, dtype=F64), {})
