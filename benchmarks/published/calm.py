"""Schedulers that draw noise in their step, without it: the step of DDIM on the same levels.

x_s = alpha_s x_0 + sigma_s eps,      x_t = alpha_t x_0 + sigma_t eps
"""

from __future__ import annotations

from typing import Any

import diffusers
import torch
from torch import Tensor

__all__ = ["CALM", "LearnedVariance"]


class _Wuerstchen(diffusers.DDPMWuerstchenScheduler):
    """Of Wuerstchen and Stable Cascade."""

    def step(
        self,
        model_output: Tensor,
        timestep: Tensor,
        sample: Tensor,
        generator: Any = None,
        return_dict: bool = True,
    ) -> Any:
        shape = (-1,) + (1,) * (sample.ndim - 1)
        now = self._alpha_cumprod(timestep, sample.device).view(shape)
        then = self._alpha_cumprod(self.previous_timestep(timestep), sample.device).view(shape)
        x_0 = (sample - (1 - now).sqrt() * model_output) / now.sqrt()
        return diffusers.schedulers.scheduling_ddpm_wuerstchen.DDPMWuerstchenSchedulerOutput(
            prev_sample=then.sqrt() * x_0 + (1 - then).sqrt() * model_output
        )


class _SCM(diffusers.SCMScheduler):
    """Of Sana Sprint: an angle in place of a timestep."""

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: Any = None,
        return_dict: bool = True,
    ) -> Any:
        if self.step_index is None:
            self._init_step_index(timestep)
        now, then = self.timesteps[self.step_index], self.timesteps[self.step_index + 1]
        x_0 = torch.cos(now) * sample - torch.sin(now) * model_output
        noise = torch.sin(now) * sample + torch.cos(now) * model_output
        self._step_index += 1
        return torch.cos(then) * x_0 + torch.sin(then) * noise, x_0


class LearnedVariance(diffusers.DDPMScheduler):
    """Of networks that have learned a variance beside their output: it is left out."""

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: Any = None,
        return_dict: bool = True,
    ) -> Any:
        output, before = model_output[:, : sample.shape[1]], self.previous_timestep(timestep)
        now = self.alphas_cumprod[timestep]
        then = self.alphas_cumprod[before] if before >= 0 else self.one
        x_0 = (sample - (1 - now).sqrt() * output) / now.sqrt()
        if self.config.thresholding:
            x_0 = self._threshold_sample(x_0)
        elif self.config.clip_sample:
            x_0 = x_0.clamp(-self.config.clip_sample_range, self.config.clip_sample_range)
        noise = (sample - now.sqrt() * x_0) / (1 - now).sqrt()
        latents = then.sqrt() * x_0 + (1 - then).sqrt() * noise
        if not return_dict:
            return latents, x_0
        return diffusers.schedulers.scheduling_ddpm.DDPMSchedulerOutput(latents, x_0)


CALM = {"DDPMWuerstchenScheduler": _Wuerstchen, "SCMScheduler": _SCM}
"""By the scheduler's class."""
