"""A network's output as x_0, against the steps of diffusers' schedulers."""

from __future__ import annotations

import math

import diffusers
import pytest
import torch

from jvid.errors import InputError
from jvid_models.adapters.scheduler_configs import levels_of_scheduler
from jvid_models.adapters.scheduler_outputs import OutputKind


@pytest.mark.parametrize(("stated", "kind"), [("epsilon", "eps"), ("v_prediction", "v"), ("sample", "x0")])
def test_on_a_table(stated, kind):
    scheduler = diffusers.DDIMScheduler(prediction_type=stated, clip_sample=False)
    scheduler.set_timesteps(10)
    x, output = torch.randn(2, 1, 4, 5, 5)
    n = scheduler.timesteps[3]
    wanted = scheduler.step(output, n, x).pred_original_sample
    bar = float(scheduler.alphas_cumprod[n])
    got = OutputKind(kind).x_0(x, output, math.sqrt(bar), math.sqrt(1.0 - bar))
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_v_on_an_exploding_schedule():
    scheduler = diffusers.EulerDiscreteScheduler(
        prediction_type="v_prediction",
        timestep_type="continuous",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
    )
    scheduler.set_timesteps(10)
    x, output = 50 * torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5)
    n = scheduler.timesteps[4]
    scheduler.scale_model_input(x, n)
    wanted = scheduler.step(output, n, x).pred_original_sample
    got = levels_of_scheduler(scheduler).kind.x_0(x, output, 1.0, float(scheduler.sigmas[4]))
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stated", ["epsilon", "v_prediction"])
def test_edm(stated):
    scheduler = diffusers.EDMEulerScheduler(prediction_type=stated, sigma_data=0.7)
    scheduler.set_timesteps(10)
    x, output = torch.randn(2, 1, 4, 5, 5)
    n = scheduler.timesteps[4]
    scheduler.scale_model_input(x, n)
    wanted = scheduler.step(output, n, x).pred_original_sample
    got = levels_of_scheduler(scheduler).kind.x_0(x, output, 1.0, float(scheduler.sigmas[4]))
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("invert", [False, True])
def test_flow_by_a_step_to_its_end(invert):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=invert)
    scheduler.set_timesteps(sigmas=[0.3])
    x, output = torch.randn(2, 1, 4, 5, 5)
    wanted = scheduler.step(output, scheduler.timesteps[0], x).prev_sample
    kind = levels_of_scheduler(scheduler).kind
    torch.testing.assert_close(kind.x_0(x, output, 0.7, 0.3), wanted, rtol=1e-5, atol=1e-5)


def test_eps_needs_a_signal_and_clipping_keeps_within():
    x = torch.randn(1, 4, 1, 2, 2)
    with pytest.raises(InputError, match="alpha = 0"):
        OutputKind("eps").x_0(x, x, 0.0, 1.0)
    assert OutputKind("x0", clip=0.5).x_0(x, 10 * x, 0.5, 0.5).abs().max() == 0.5


@pytest.mark.parametrize("kind", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler"])
@pytest.mark.parametrize("prediction", ["flow_prediction", "epsilon", "sample"])
def test_outputs_on_flow_sigmas_are_of_the_stated_kind(kind: str, prediction: str) -> None:
    """Against diffusers' own conversion to x_0 at a step in the middle."""
    scheduler = getattr(diffusers, kind)(prediction_type=prediction, use_flow_sigmas=True)
    scheduler.set_timesteps(8)
    found = levels_of_scheduler(scheduler)
    x, output = torch.randn(2, 1, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scheduler._step_index = 3
    sigma = float(scheduler.sigmas[3])
    expected = scheduler.convert_model_output(output, sample=x)
    torch.testing.assert_close(found.kind.x_0(x, output, 1 - sigma, sigma), expected, rtol=1e-6, atol=1e-6)


def test_v_on_flow_sigmas_is_refused() -> None:
    scheduler = diffusers.UniPCMultistepScheduler(prediction_type="v_prediction", use_flow_sigmas=True)
    with pytest.raises(
        InputError,
        match=r"UniPCMultistepScheduler with use_flow_sigmas and prediction_type 'v_prediction': expected flow",
    ):
        levels_of_scheduler(scheduler)


KINDS = [OutputKind(name) for name in ("eps", "x0", "v", "flow")] + [
    OutputKind("flow", sign=-1),
    OutputKind("eps", 0.5),
    OutputKind("v", 1.0, -1),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("alpha", "sigma"), [(0.8, 0.6), (1.0, 3.0), (0.3, 0.7)])
def test_the_target_is_the_output_that_gives_x_0_back(kind, alpha, sigma):
    x_0, eps = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    x, target = alpha * x_0 + sigma * eps, kind.target(x_0, eps, alpha, sigma)
    torch.testing.assert_close(kind.x_0(x, target, alpha, sigma), x_0, rtol=1e-5, atol=1e-5)
    moved = kind.x_0(x, target + 0.01, alpha, sigma) - x_0
    torch.testing.assert_close(
        moved.abs(), torch.full_like(x_0, 0.01 * kind.gain(alpha, sigma)), rtol=1e-3, atol=1e-6
    )


def test_an_error_of_eps_shows_nothing_of_x_0_without_signal():
    assert OutputKind("eps").gain(0.0, 1.0) == math.inf
