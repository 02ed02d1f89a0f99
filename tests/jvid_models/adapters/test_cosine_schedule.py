"""Cosine schedules against diffusers' schedulers."""

from __future__ import annotations

import math

import diffusers
import pytest
import torch

from jvid.errors import InputError
from jvid.testing import conforms
from jvid_models.adapters.cosine_schedule import CosineSchedule
from jvid_models.adapters.scheduler_configs import levels_of_scheduler

TIMES = torch.linspace(0.0, 1.0, 41, dtype=torch.float64)


@pytest.mark.parametrize("scaler", [1.0, 0.7, 2.0])
def test_it_is_that_of_wuerstchen(scaler):
    scheduler = diffusers.DDPMWuerstchenScheduler(scaler=scaler, s=0.01)
    alpha, sigma = levels_of_scheduler(scheduler).schedule(TIMES)
    bar = scheduler._alpha_cumprod(TIMES.float(), "cpu").double()
    torch.testing.assert_close(alpha**2, bar, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))


def test_it_is_the_angle_of_consistency_models():
    levels = levels_of_scheduler(diffusers.SCMScheduler())
    angles = levels.timestep(TIMES)
    torch.testing.assert_close(angles, TIMES * math.pi / 2)
    alpha, sigma = levels.schedule(TIMES)
    torch.testing.assert_close(alpha, angles.cos(), rtol=0, atol=1e-12)
    torch.testing.assert_close(sigma, angles.sin())
    assert (levels.kind.prediction, float(alpha[-1])) == ("v", 0.0)


@pytest.mark.parametrize("schedule", [CosineSchedule(), CosineSchedule(0.008), CosineSchedule(0.008, 2.0)])
def test_it_conforms(schedule):
    report = conforms("schedule", schedule, examples=5)
    assert report.ok, report


def test_other_predictions_and_times_are_refused():
    scheduler = diffusers.SCMScheduler(prediction_type="sample")
    with pytest.raises(InputError, match="prediction_type 'sample': expected trigflow"):
        levels_of_scheduler(scheduler)
    with pytest.raises(InputError, match=r"expected a time in \[0, 1\]"):
        CosineSchedule()(torch.tensor(1.5))
