"""Schedulers and their configs: diffusers' own tables and sigmas, or a refusal that names what is not read."""

from __future__ import annotations

import diffusers
import pytest
import torch
from diffusers.schedulers.deprecated import KarrasVeScheduler

from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid_models.adapters.scheduler_clocks import Clock
from jvid_models.adapters.scheduler_configs import levels_of_scheduler, schedule_of
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.adapters.scheduler_outputs import OutputKind
from jvid_models.adapters.scheduler_tables import TABLES
from tests.installed import fork

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SVD = {**SD, "prediction_type": "v_prediction", "timestep_type": "continuous", "use_karras_sigmas": True,
       "sigma_min": 0.002, "sigma_max": 700.0, "timestep_spacing": "leading", "steps_offset": 1}  # fmt: skip


def saved(scheduler):
    """The config as a file has it."""
    return {"_class_name": type(scheduler).__name__, **scheduler.config}


def table(levels):
    return torch.tensor(levels.schedule.alphas_cumprod, dtype=torch.float64)


# DPMSolverSDEScheduler needs torchsde, which no extra brings.
@pytest.mark.parametrize("name", sorted(TABLES - {"DPMSolverSDEScheduler"}))
def test_every_class_on_betas_has_diffusers_own_table(name):
    kind = getattr(diffusers, name)
    plain = {} if name == "UnCLIPScheduler" else SD
    for options in ({}, plain):
        live = kind(**options)
        levels = levels_of_scheduler(live)
        own = torch.as_tensor(live.alphas_cumprod).double()
        torch.testing.assert_close(table(levels), own, atol=1e-6, rtol=1e-4)
        n = torch.tensor([0, 499, 999])
        assert torch.equal(levels.timestep((n.double() + 1) / 1000), n.double())
        # The config of a file, and one that leaves everything out, give the same value.
        assert levels_of_scheduler(saved(live)) == levels
        assert levels_of_scheduler({"_class_name": name, **options}) == levels


@pytest.mark.parametrize(
    "live",
    [
        diffusers.CogVideoXDDIMScheduler(snr_shift_scale=3.0, rescale_betas_zero_snr=True),
        diffusers.CogVideoXDPMScheduler(snr_shift_scale=1.0),
        diffusers.EulerDiscreteScheduler(**SD, rescale_betas_zero_snr=True),
        diffusers.DPMSolverMultistepScheduler(**SD, rescale_betas_zero_snr=True),
        diffusers.DDPMScheduler(beta_schedule="sigmoid"),
        diffusers.DDPMScheduler(beta_schedule="laplace"),
    ],
    ids=lambda live: type(live).__name__,
)
def test_tables_of_other_arithmetic_are_the_objects_own(live):
    for given in (live, saved(live)):
        own = live.alphas_cumprod.double()
        torch.testing.assert_close(table(levels_of_scheduler(given)), own, atol=0, rtol=1e-12)


def test_an_edited_table_is_read_from_the_object():
    live = diffusers.DDIMScheduler(**SD)
    live.alphas_cumprod = live.alphas_cumprod**1.01
    torch.testing.assert_close(table(levels_of_scheduler(live)), live.alphas_cumprod.double(), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("kind", "stray"),
    [
        (diffusers.PNDMScheduler, {"rescale_betas_zero_snr": True}),
        (diffusers.HeunDiscreteScheduler, {"use_flow_sigmas": True, "flow_shift": 3.0}),
        (diffusers.DDIMScheduler, {"snr_shift_scale": 3.0, "timestep_type": "continuous", "shift": 3.0}),
    ],
)
def test_keys_of_other_classes_change_nothing(kind, stray):
    live = kind.from_config({**kind(**SD).config, **stray})
    assert set(stray) <= set(live.config)
    for given in (live, saved(live)):
        levels = levels_of_scheduler(given)
        torch.testing.assert_close(table(levels), live.alphas_cumprod.double(), atol=1e-6, rtol=1e-4)
        assert levels.clock.name == "index"
    heun = diffusers.FlowMatchHeunDiscreteScheduler.from_config(
        diffusers.FlowMatchEulerDiscreteScheduler(
            shift=3.0, use_dynamic_shifting=True, invert_sigmas=True
        ).config
    )
    assert schedule_of(heun) == (FlowMatching(3.0), "flow")


class OwnScheduler(diffusers.DDIMScheduler):
    """A user's subclass."""


def test_a_live_scheduler_needs_no_class_name():
    assert "_class_name" not in diffusers.FlowMatchEulerDiscreteScheduler().config
    flow = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert schedule_of(flow) == (FlowMatching(3.0), "flow")
    assert levels_of_scheduler(OwnScheduler(**SD)) == levels_of_scheduler(diffusers.DDIMScheduler(**SD))
    flow.set_shift(5.0)
    assert levels_of_scheduler(flow).schedule == FlowMatching(5.0)


def test_flow_matching_is_at_diffusers_sigmas_and_timesteps():
    live = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    t = torch.linspace(1, 0.001, 1000, dtype=torch.float64)
    levels = levels_of_scheduler(live)
    torch.testing.assert_close(levels.schedule(t)[1], live.sigmas.double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(levels.timestep(t), live.timesteps.double(), atol=1e-3, rtol=0)
    # A shift for the resolution belongs to the grid.
    dynamic = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    assert levels_of_scheduler(dynamic).schedule == FlowMatching(1.0)
    assert levels_of_scheduler(saved(dynamic)) == levels_of_scheduler(dynamic)


def test_inverted_sigmas_are_mochis():
    live = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    levels = levels_of_scheduler(live)
    live.set_timesteps(4, sigmas=[1.0, 0.8, 0.5, 0.2])
    sigma = torch.tensor([1.0, 0.8, 0.5, 0.2], dtype=torch.float64)
    torch.testing.assert_close(levels.timestep(sigma), live.timesteps.double(), atol=1e-3, rtol=0)
    # One step of diffusers' to the clean end is x_0.
    x, out = torch.randn(1, 4, 1, 2, 2), torch.randn(1, 4, 1, 2, 2)
    last = live.timesteps[-1]
    x_0 = live.step(out, last, x).prev_sample
    denoiser = levels.denoiser(lambda x, t, cond: out)
    torch.testing.assert_close(denoiser(x, sigma[-1], {}), x_0, atol=1e-6, rtol=1e-5)
    with pytest.raises(InputError, match="invert_sigmas"):
        schedule_of(live)


@pytest.mark.parametrize("kind", [diffusers.EDMEulerScheduler, diffusers.EDMDPMSolverMultistepScheduler])
@pytest.mark.parametrize("stated", ["epsilon", "v_prediction"])
def test_edm_is_preconditioned_as_diffusers_does(kind, stated):
    live = kind(sigma_data=0.7, sigma_max=50.0, prediction_type=stated)
    levels = levels_of_scheduler({"_class_name": kind.__name__, **live.config})
    assert levels == levels_of_scheduler(live)
    assert levels.schedule == VarianceExploding(0.002, 50.0)
    live.set_timesteps(5)
    seen = []

    def network(x, t, cond):
        seen.append((x, t))
        return x.roll(1, -1)

    denoiser = levels.denoiser(network)
    x = 3 * torch.randn(1, 4, 1, 2, 3)
    for sigma, n in zip(live.sigmas, live.timesteps, strict=False):
        t = levels.schedule.time_at(torch.atan2(sigma.double(), torch.tensor(1.0, dtype=torch.float64)))
        scaled = live.precondition_inputs(x, sigma)
        by_hand = live.precondition_outputs(x, scaled.roll(1, -1), sigma)
        torch.testing.assert_close(denoiser(x, t, {}), by_hand, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(seen[-1][0], scaled, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(seen[-1][1].float(), n, atol=1e-5, rtol=1e-5)


def test_continuous_v_is_stable_video_diffusions():
    live = diffusers.EulerDiscreteScheduler(**SVD)
    levels = levels_of_scheduler(live)
    assert levels_of_scheduler(saved(live)) == levels
    assert levels.schedule == VarianceExploding(0.002, 700.0)
    live.set_timesteps(6)
    x, out = 3 * torch.randn(1, 4, 2, 2, 2), torch.randn(1, 4, 2, 2, 2)
    seen = []

    def network(x, t, cond):
        seen.append((x, t))
        return out

    for sigma, n in zip(live.sigmas, live.timesteps, strict=False):
        t = levels.schedule.time_at(torch.atan2(sigma.double(), torch.tensor(1.0, dtype=torch.float64)))
        x_0 = levels.denoiser(network)(x, t, {})
        scaled = live.scale_model_input(x, n)
        torch.testing.assert_close(seen[-1][0], scaled, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(seen[-1][1].float(), n, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(x_0, live.step(out, n, x).pred_original_sample, atol=1e-5, rtol=1e-5)
    # diffusers takes other predictions at their table's timesteps.
    other = diffusers.EulerDiscreteScheduler(**SD, timestep_type="continuous")
    assert levels_of_scheduler(other) == levels_of_scheduler(diffusers.DDIMScheduler(**SD))


def test_a_flow_schedulers_sigma_data_is_cosmos_2s():
    live = diffusers.FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
    live.register_to_config(sigma_min=0.002, sigma_max=80.0, sigma_data=1.0, final_sigmas_type="sigma_min")
    levels = levels_of_scheduler(live)
    assert levels == SchedulerLevels(VarianceExploding(0.002, 80.0), OutputKind("eps"), Clock("sigma"))
    # The pipeline hands (x - x_0) / sigma to the scheduler, whose last step is to sigma 0.
    x, x_0, sigma = torch.randn(1, 4, 1, 2, 2), torch.randn(1, 4, 1, 2, 2), 7.0
    t = levels.schedule.time_at(torch.atan(torch.tensor(sigma, dtype=torch.float64)))
    got = levels.denoiser(lambda *_: (x - x_0) / sigma)(x, t, {})
    torch.testing.assert_close(got, x_0, atol=1e-5, rtol=1e-5)
    assert levels.timestep(t).item() == pytest.approx(7000)


@pytest.mark.parametrize(
    "kind",
    [
        diffusers.UniPCMultistepScheduler,
        diffusers.DPMSolverMultistepScheduler,
        diffusers.DEISMultistepScheduler,
    ],
)
def test_flow_sigmas_of_multistep_solvers(kind):
    live = kind(use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction")
    levels = levels_of_scheduler(live)
    assert (levels.schedule, levels.kind) == (FlowMatching(3.0), OutputKind("flow"))
    live.set_timesteps(7)
    sigma = live.sigmas[:-1].double()
    t = levels.schedule.time_at(torch.atan2(sigma, 1.0 - sigma))
    assert torch.equal(levels.timestep(t), live.timesteps.double())  # cut to whole numbers
    eps = kind(use_flow_sigmas=True, flow_shift=3.0)
    assert levels_of_scheduler(eps).kind == OutputKind("eps")


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.IPNDMScheduler(),
        KarrasVeScheduler(),
        diffusers.ScoreSdeVeScheduler(),
        diffusers.CMStochasticIterativeScheduler(),
        diffusers.RePaintScheduler(),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_other_processes_are_refused_by_name(scheduler):
    for given in (scheduler, saved(scheduler)):
        with pytest.raises(InputError, match=type(scheduler).__name__):
            levels_of_scheduler(given)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"predict_epsilon": False}, "predict_epsilon"),
        ({"_class_name": "DDPMScheduler", "predict_epsilon": False}, "predict_epsilon"),
        ({"snr_shift_scale": 3.0}, "snr_shift_scale"),
        ({"shift": 3.0}, "shift"),
        ({"timestep_type": "continuous"}, "timestep_type"),
        ({"sigma_data": 0.5}, "sigma_data"),
        ({"invert_sigmas": True}, "invert_sigmas"),
        ({"prediction_type": "flow_prediction"}, "use_flow_sigmas"),
        ({"prediction_type": "v_prediction", "use_flow_sigmas": True}, "v_prediction"),
        ({"_class_name": "DDIMScheduler", "beta_schedule": "cubic"}, "cubic"),
    ],
)
def test_keys_that_are_not_understood_are_named(config, named):
    with pytest.raises(InputError, match=named) as caught:
        levels_of_scheduler(config)
    assert "\n" not in str(caught.value)


def test_a_config_that_states_all_needs_no_diffusers():
    code = (
        "import sys\n"
        "for name in [name for name in sys.modules if name.partition('.')[0] in ('diffusers', 'jvid', 'jvid_models')]:\n"
        "    del sys.modules[name]\n"
        "from jvid_models.adapters.scheduler_configs import schedule_of\n"
        "for name in ({}, {'_class_name': 'DDIMScheduler'}):\n"
        "    schedule_of({**name, 'beta_schedule': 'scaled_linear', 'beta_start': 0.00085, 'beta_end': 0.012,\n"
        "                 'num_train_timesteps': 1000})\n"
        "assert 'diffusers' not in sys.modules\n"
    )
    done = fork("-c", code)
    assert done.returncode == 0, done.stderr
    assert isinstance(schedule_of(SD)[0], TabulatedSchedule)
