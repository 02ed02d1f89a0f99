"""A scheduler's stand-in inside a pipeline's own call: it hands out timesteps and takes the model's output.

    for t in scheduler.timesteps:                          the pipeline's loop
        output = network(scheduler.scale_model_input(latents, t), t, ...)
        latents = scheduler.step(output, t, latents)       here the probe leaves, with the output

The probe is a copy of the real scheduler, of a subclass of its class: configuration, tables, ``scale_model_input`` and
``isinstance`` are the real ones. What timesteps there are and what a step gives is decided by a `Drive`.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError

__all__ = ["Call", "Departure", "Drive", "Presented", "present", "probe_of"]


class Departure(BaseException):
    """Leaves a pipeline's call with ``value``; no `Exception`, so that no pipeline handles it."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@attrs.frozen(eq=False)
class Call:
    """One call of ``scheduler.step`` in a pipeline's loop: the model's output, the timestep and the latents."""

    output: Tensor
    timestep: Any
    sample: Tensor
    denoised: bool
    """Whether the output is x_0 already: the scheduler got it as ``pred_original_sample``."""


class Drive(Protocol):
    """What a probe does in one call of a pipeline; ``delegates``: steps that do not get x_0 are the real scheduler's."""

    delegates: bool

    def set_timesteps(self, probe: Any, own: Callable[[], None]) -> None:
        """Set the probe's timesteps; ``own`` does it as the real scheduler does."""
        ...

    def step(self, probe: Any, call: Call) -> Tensor:
        """The latents after a step; or leave with a `Departure`."""
        ...

    def copied(self, probe: Any) -> Any:
        """What a deep copy of the probe is, such as a second scheduler for audio."""
        ...


def probe_of(scheduler: Any, drive: Drive) -> Any:
    """A stand-in of ``scheduler`` that follows ``drive``; the scheduler itself is not changed."""
    probe = copy.copy(scheduler)
    probe.__class__ = _class_of(type(scheduler))
    probe.__dict__ = {name: _own(value) for name, value in scheduler.__dict__.items()} | {"_drive": drive}
    return probe


def _own(value: Any) -> Any:
    """A value of the real scheduler for the probe: lists are refilled in place, tensors are replaced."""
    return list(value) if type(value) is list else value


@attrs.frozen(eq=False)
class Presented:
    """A timestep as a network gets it, and the scheduler's sigma at it (None where it has none)."""

    timestep: Tensor
    sigma: float | None


def present(probe: Any, at: Presented, count: int = 1) -> None:
    """Let the probe have ``count`` times the same timestep."""
    device = probe.timesteps.device if isinstance(probe.timesteps, Tensor) else None
    probe.timesteps = at.timestep.to(device).expand(count).clone()
    probe.num_inference_steps = count
    if at.sigma is not None:
        # One more than timesteps, as schedulers have them: what follows the last.
        probe.sigmas = torch.full((count + 1,), at.sigma, device=probe.sigmas.device, dtype=probe.sigmas.dtype)
    probe.__dict__["_step_index"] = 0
    probe.__dict__["_begin_index"] = 0


@cache
def _class_of(real: Any) -> Any:
    """The subclass of a scheduler's class that follows a drive."""
    signature = inspect.signature(real.step)

    @functools.wraps(real.set_timesteps)  # pipelines look for `sigmas` and `timesteps` in its signature
    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
        self._drive.set_timesteps(self, lambda: real.set_timesteps(self, *args, **kwargs))

    @functools.wraps(real.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind(self, *args, **kwargs).arguments
        denoised = given.get("pred_original_sample")
        missing = [name for name in ("model_output", "timestep", "sample") if name not in given]
        if missing:
            raise InputError(f"{real.__name__}.step has no {missing[0]!r}: expected a scheduler of diffusers")
        output = given["model_output"] if denoised is None else denoised
        call = Call(output, given["timestep"], given["sample"], denoised is not None)
        if self._drive.delegates and denoised is None:
            return real.step(self, *args, **kwargs)
        latents = self._drive.step(self, call)
        if given.get("return_dict", signature.parameters["return_dict"].default):
            from diffusers.utils import BaseOutput

            return BaseOutput(prev_sample=latents, pred_original_sample=latents)
        return latents, latents

    def deepcopy(self: Any, memo: Any) -> Any:
        return self._drive.copied(self)

    return type(
        f"{real.__name__}Probe",
        (real,),
        {
            "set_timesteps": set_timesteps,
            "step": step,
            "__deepcopy__": deepcopy,
            # Latents come and go without the deviation of the first noise.
            "init_noise_sigma": property(lambda self: 1.0),
            "__module__": __name__,
        },
    )
