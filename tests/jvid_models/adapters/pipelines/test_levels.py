"""A pipeline's levels are those that its scheduler declares, at the times and timesteps that are visited."""

from __future__ import annotations

from typing import Any

import attrs
import diffusers
import pytest
import torch

from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid_models.adapters.pipelines.levels import VisitedLevels, declared_levels, visited_levels
from jvid_models.adapters.pipelines.visits import Visits
from jvid_models.adapters.scheduler_clocks import Clock
from jvid_models.adapters.scheduler_configs import levels_of_scheduler
from jvid_models.adapters.scheduler_outputs import OutputKind

SD: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
FLOW: dict[str, Any] = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}


def visits_of(scheduler: Any, **setting: Any) -> Visits:
    """What a plain loop of 7 steps visits."""
    scheduler.set_timesteps(**(setting or {"num_inference_steps": 7}))
    given = getattr(scheduler, "sigmas", None)
    sigmas = given.double().tolist() if isinstance(given, torch.Tensor) else None
    if sigmas is not None and len(sigmas) != len(scheduler.timesteps) + 1:
        sigmas = None
    scales = []
    for i, n in enumerate(scheduler.timesteps):
        scheduler._step_index = i
        scaled = (
            scheduler.scale_model_input(torch.ones(1), n) if hasattr(scheduler, "scale_model_input") else 1.0
        )
        scales.append(float(scaled))
    final = getattr(scheduler, "final_alpha_cumprod", None)
    return Visits(
        scheduler.timesteps,
        None if sigmas is None else tuple(sigmas[:-1]),
        None if sigmas is None else sigmas[-1],
        tuple(scales),
        final is None or float(final) == 1.0,
        False,
    )


def cosmos() -> Any:
    live = diffusers.FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
    live.register_to_config(sigma_min=0.002, sigma_max=80.0, sigma_data=1.0, final_sigmas_type="sigma_min")
    return live


@pytest.mark.parametrize(
    ("scheduler", "setting"),
    [
        (diffusers.DDIMScheduler(**SD, clip_sample=False), {}),
        (diffusers.DDIMScheduler(**SD, clip_sample=False, prediction_type="v_prediction", rescale_betas_zero_snr=True), {}),
        (diffusers.EulerDiscreteScheduler(**SD), {}),
        (diffusers.EulerDiscreteScheduler(**SD, prediction_type="v_prediction", timestep_type="continuous"), {}),
        (diffusers.UniPCMultistepScheduler(**SD, prediction_type="sample"), {}),
        (diffusers.UniPCMultistepScheduler(**FLOW), {}),
        (diffusers.EDMEulerScheduler(prediction_type="v_prediction", sigma_data=0.7), {}),
        (diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), {}),
        (diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True), {"sigmas": [1.0, 0.8, 0.5, 0.2]}),
        (cosmos(), {}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_visited_scheduler_is_what_it_declares(scheduler: Any, setting: dict[str, Any]) -> None:
    visits = visits_of(scheduler, **setting)
    found, declared = visited_levels(scheduler, visits), levels_of_scheduler(scheduler)
    assert found.kind == declared.kind
    # A scheduler's scale of the model's input is seen in a run alone.
    named = attrs.evolve(found.clock, name="index") if found.clock.name == "ratio" else found.clock
    assert named == declared.clock
    times = found.times(visits)
    for t, n, sigma in zip(times, visits.timesteps, visits.sigmas or [None] * len(times), strict=False):
        presented = found.presented(t)
        assert presented.timestep.dtype == visits.timesteps.dtype
        torch.testing.assert_close(presented.timestep, n, rtol=1e-6, atol=2e-4)
        assert (presented.sigma is None) == (sigma is None)
        if sigma is not None:
            assert presented.sigma == pytest.approx(sigma, rel=1e-6)
    if not isinstance(found.schedule, FlowMatching):
        # float32 sigmas of a scheduler; a flow's shift is in the times.
        t = torch.linspace(0.01, 0.99, 30, dtype=torch.float64)
        for one, other in zip(found.schedule(t), declared.schedule(t), strict=True):
            torch.testing.assert_close(one, other, rtol=2e-4, atol=1e-7)


def test_a_run_is_on_the_schedulers_own_table_to_the_bit() -> None:
    scheduler = diffusers.DDIMScheduler(**SD, clip_sample=False)
    found = visited_levels(scheduler, visits_of(scheduler))
    assert found.schedule == TabulatedSchedule(scheduler.alphas_cumprod.double())
    assert levels_of_scheduler(scheduler).schedule == TabulatedSchedule.scaled_linear()
    assert found.schedule != TabulatedSchedule.scaled_linear()


def test_the_shift_of_a_flow_is_in_its_times() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    visits = visits_of(scheduler)
    found = visited_levels(scheduler, visits)
    assert found.schedule == FlowMatching()
    assert found.times(visits) == (*(visits.sigmas or ()), 0.0)


def test_other_timesteps_of_a_pipeline_are_other_clocks() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    visits = visits_of(scheduler)
    sigmas = torch.tensor(visits.sigmas)

    def clock(timesteps: torch.Tensor) -> Clock:
        return visited_levels(scheduler, attrs.evolve(visits, timesteps=timesteps)).clock

    assert clock(sigmas) == Clock("sigma", 1.0)
    assert clock((1000.0 * sigmas).long()) == Clock("sigma", 1000.0, whole=True)
    unshifted = clock(1000.0 * sigmas / (3.0 - 2.0 * sigmas))
    assert unshifted.name == "unshifted"
    assert unshifted.shift == pytest.approx(3.0)
    with pytest.raises(
        InputError, match="FlowMatchEulerDiscreteScheduler has timesteps that its sigmas do not"
    ):
        clock(1000.0 * sigmas**2)


@pytest.mark.parametrize(
    "name", ["PNDMScheduler", "HeunDiscreteScheduler", "EulerAncestralDiscreteScheduler"]
)
def test_keys_that_a_config_carries_for_other_classes_change_nothing(name: str) -> None:
    kind = getattr(diffusers, name)
    plain = kind(**SD, prediction_type="v_prediction")
    stray = kind.from_config({**plain.config, "use_flow_sigmas": True, "timestep_type": "continuous"})
    assert stray.config["use_flow_sigmas"]
    # Heun's second evaluation of a level is no visit of its own.
    every = slice(None, None, 2) if name.startswith("Heun") else slice(None)
    seen = [visits_of(each) for each in (stray, plain)]
    visits = [
        attrs.evolve(
            each,
            timesteps=each.timesteps[every],
            sigmas=None if each.sigmas is None else each.sigmas[every],
            scales=each.scales[every],
        )
        for each in seen
    ]
    assert visited_levels(stray, visits[0]) == visited_levels(plain, visits[1])


class Unknown:
    """A scheduler of a user's own that inherits from none of diffusers'."""

    def __init__(self, table: torch.Tensor | None = None, **config: Any) -> None:
        self.config = config
        if table is not None:
            self.alphas_cumprod = table


def test_a_class_that_is_not_known_is_read_by_what_it_has_and_its_visits() -> None:
    ddim = diffusers.DDIMScheduler(**SD, prediction_type="v_prediction", clip_sample=False)
    found = visited_levels(Unknown(ddim.alphas_cumprod, prediction_type="v_prediction"), visits_of(ddim))
    assert found == visited_levels(ddim, visits_of(ddim))
    unipc = diffusers.UniPCMultistepScheduler(**FLOW)
    found = visited_levels(Unknown(**FLOW), visits_of(unipc))
    assert found == visited_levels(unipc, visits_of(unipc))
    with pytest.raises(InputError, match="Unknown is not understood"):
        visited_levels(Unknown(), visits_of(ddim))
    # Without a run nothing confirms it.
    with pytest.raises(InputError, match="Unknown has levels that jvid does not read"):
        levels_of_scheduler(Unknown(ddim.alphas_cumprod))


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (diffusers.EulerDiscreteScheduler(**SD, use_karras_sigmas=True, sigma_max=700.0), "sigma 700, above the 14.6"),
        (diffusers.EDMEulerScheduler(prediction_type="sample"), "prediction_type 'sample' of an EDM scheduler"),
        (diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction"), "UniPC.* without use_flow_sigmas"),
        (diffusers.UniPCMultistepScheduler(**FLOW | {"prediction_type": "v_prediction"}), "UniPC.* with use_flow_sigmas"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_a_run_does_not_explain_is_refused(scheduler: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        visited_levels(scheduler, visits_of(scheduler))
    assert "\n" not in str(caught.value)


def test_a_clip_of_x_0_is_the_steps_own() -> None:
    scheduler = diffusers.DDIMScheduler(**SD, clip_sample=True, clip_sample_range=2.0)
    found = visited_levels(scheduler, visits_of(scheduler))
    assert found.kind == OutputKind("eps", clip=2.0)
    with pytest.raises(InputError, match="clips x_0 to 2"):
        found.denoiser(lambda x, t, cond: x)
    assert levels_of_scheduler(scheduler).kind == OutputKind("eps")


def test_thresholds_of_x_0_are_the_steps_own() -> None:
    scheduler = diffusers.DDIMScheduler(**SD, clip_sample=True, thresholding=True, sample_max_value=2.0)
    found = visited_levels(scheduler, visits_of(scheduler))
    # It thresholds in the place of the clip.
    assert (found.thresholds, found.kind) == (True, OutputKind("eps"))
    generator = torch.Generator().manual_seed(0)
    x, output = (torch.randn(2, 4, 3, 3, generator=generator) for _ in range(2))
    n = int(scheduler.timesteps[2])
    own = scheduler.step(output, n, x).pred_original_sample
    torch.testing.assert_close(found.x_0(scheduler, x, output, (n + 1) / 1000), own, rtol=1e-4, atol=1e-5)
    plain = diffusers.DDIMScheduler(**SD, clip_sample=False)
    unlimited = visited_levels(plain, visits_of(plain))
    assert not unlimited.thresholds
    assert float((unlimited.x_0(plain, x, output, (n + 1) / 1000) - own).abs().max()) > 0.1


def test_no_sigmas_of_a_flow_are_refused() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    without = attrs.evolve(visits_of(scheduler), sigmas=None, last=None)
    with pytest.raises(InputError, match="FlowMatchEulerDiscreteScheduler has no sigmas"):
        visited_levels(scheduler, without)


def test_x_0_that_the_scheduler_gets_is_the_output() -> None:
    scheduler = diffusers.EDMEulerScheduler()
    visits = attrs.evolve(visits_of(scheduler), denoised=True)
    assert visited_levels(scheduler, visits).kind == OutputKind("x0")


def test_between_entries_sigma_is_interpolated_as_diffusers_does() -> None:
    """Euler's linspace visits times between entries, where its sigma is linear in the timestep."""
    scheduler = diffusers.EulerDiscreteScheduler(**SD)
    visits = visits_of(scheduler)
    found = visited_levels(scheduler, visits)
    between = [n for n in visits.timesteps.tolist() if n != round(n)]
    assert len(between) >= 3
    times = torch.tensor(found.times(visits)[:-1], dtype=torch.float64)
    torch.testing.assert_close(found.timestep(times), visits.timesteps.double(), rtol=0, atol=2e-4)
    # By angle they would be others.
    by_angle = attrs.evolve(found, clock=Clock("index", 1000)).timestep(times)
    assert float((by_angle - visits.timesteps).abs().max()) > 2e-4


def test_exploding_sigmas_hold_all_that_are_visited() -> None:
    scheduler = diffusers.EDMEulerScheduler(sigma_min=0.01, sigma_max=50.0)
    visits = visits_of(scheduler)
    more = attrs.evolve(
        visits,
        sigmas=tuple(2.0 * s for s in visits.sigmas or ()),
        timesteps=visits.timesteps + 0.25 * 0.6931472,
    )
    found = visited_levels(scheduler, more)
    assert isinstance(found, VisitedLevels)
    assert found.schedule == VarianceExploding(0.01, 100.0)
    assert found.times(more)[0] == 1.0


def test_a_class_that_is_not_known_declares_what_it_is_read_as() -> None:
    helios = diffusers.HeliosScheduler(stages=1, stage_range=[0, 1], gamma=1.0)
    assert declared_levels(helios).schedule == FlowMatching()
    known = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert declared_levels(known).schedule == FlowMatching(3.0)
