"""Schedulers of a user's own, whose step passes its arguments on or names a part of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

from jvid_models.adapters.pipelines.manner import ONCE
from jvid_models.adapters.pipelines.probe import probe_of


class Passing(DDIMScheduler):
    def step(self, *args: Any, **kwargs: Any) -> Any:
        return super().step(*args, **kwargs)


class Named(DDIMScheduler):
    def step(self, model_output: Any, timestep: Any, sample: Any, **kwargs: Any) -> Any:
        return super().step(model_output, timestep, sample, **kwargs)


class Noting:
    """A drive that notes the call and gives the latents of one more."""

    manner = ONCE

    def step(self, probe: Any, call: Any) -> torch.Tensor:
        self.call = call
        return call.sample + 1.0


@pytest.mark.parametrize("kind", [DDIMScheduler, Passing, Named])
def test_the_arguments_of_a_step_are_found(kind: Any) -> None:
    drive = Noting()
    step = probe_of(kind(), drive).step
    output, sample = torch.ones(2), torch.zeros(2)
    assert torch.equal(step(output, 7, sample).prev_sample, torch.ones(2))
    assert (drive.call.output is output, drive.call.timestep, drive.call.sample is sample) == (True, 7, True)
    (latents, _) = step(output, timestep=7, sample=sample, return_dict=False)
    assert torch.equal(latents, torch.ones(2))
