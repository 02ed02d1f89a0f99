"""A probe in the place of a pipeline's scheduler, which hands out timesteps and takes the model's output.

    for t in scheduler.timesteps:                          the pipeline's loop
        output = network(scheduler.scale_model_input(latents, t), t, ...)
        latents = scheduler.step(output, t, latents)       here the probe leaves, with the output

The probe is a copy of the real scheduler, of its very class: configuration, tables and ``scale_model_input`` are the real
ones. What timesteps there are and what a step gives is decided by a `Drive`.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

import attrs
import torch
from torch import Tensor

from jvid.extras import extra
from jvid_models.adapters.pipelines.manner import Manner
from jvid_models.adapters.pipelines.parts import StackedParts

with extra("models"):
    from diffusers.utils.outputs import BaseOutput

__all__ = ["Departure", "Drive", "Presented", "StepCall", "model_output", "present", "probe_of", "real_copy"]


_REPLACED = ("set_timesteps", "step", "__deepcopy__")


class Departure(BaseException):
    """Leaves a pipeline's call with ``value``; no `Exception`, so that no pipeline handles it."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@attrs.frozen(eq=False)
class StepCall:
    """One call of ``scheduler.step`` in a pipeline's loop: the model's output, the timestep and the latents."""

    output: Tensor
    timestep: Any
    sample: Tensor
    denoised: bool
    """Whether the output is x_0 already: the scheduler got it as ``pred_original_sample``."""


class Drive(Protocol):
    """What a probe does in one call of a pipeline; ``manner``: how the pipeline's loop calls its scheduler."""

    manner: Manner

    def set_timesteps(self, probe: Any, own: Callable[[], None], device: Any) -> None:
        """Set the probe's timesteps on a device; ``own`` does it as the real scheduler does."""
        ...

    def step(self, probe: Any, call: StepCall) -> Tensor:
        """The latents after a step; or leave with a `Departure`."""
        ...

    def copied(self, probe: Any) -> Any:
        """What a deep copy of the probe is, such as a second scheduler for audio."""
        ...


def probe_of(scheduler: Any, drive: Drive) -> Any:
    """A probe in the place of ``scheduler`` that follows ``drive``; the scheduler itself is not changed."""
    probe = copy.copy(scheduler)
    probe.__dict__ = {name: _own(value) for name, value in scheduler.__dict__.items()}
    kind: Any = type(scheduler)
    setting, signature = _signatures(kind)

    @functools.wraps(scheduler.set_timesteps)  # pipelines look for `sigmas` and `timesteps` in its signature
    def set_timesteps(*args: Any, **kwargs: Any) -> None:
        device = setting.bind(probe, *args, **kwargs).arguments.get("device")
        drive.set_timesteps(probe, lambda: type(probe).set_timesteps(probe, *args, **kwargs), device)

    @functools.wraps(scheduler.step)
    def step(*args: Any, **kwargs: Any) -> Any:
        given = _named(signature, probe, args, kwargs)
        denoised = given.get("pred_original_sample")
        if drive.manner.delegates and denoised is None:
            return type(probe).step(probe, *args, **kwargs)
        output = model_output(probe, given["model_output"], given["sample"]) if denoised is None else denoised
        if given.get("per_token_timesteps") is not None:
            output = -output  # such a step goes along the other sign
        latents = drive.step(
            probe, StepCall(output, given["timestep"], given["sample"], denoised is not None)
        )
        return _answer(given, latents)

    parts = StackedParts(
        drive.manner.parts,
        lambda output, timestep, sample: drive.step(probe, StepCall(output, timestep, sample, False)),
    )

    def copied(memo: Any) -> Any:
        if not drive.manner.parts:
            return drive.copied(probe)
        copied = real_copy(probe)
        own = copied.step

        @functools.wraps(own)
        def step(*args: Any, **kwargs: Any) -> Any:
            given = _named(signature, copied, args, kwargs)
            output = model_output(copied, given["model_output"], given["sample"])
            return _answer(given, parts.step(output, given["timestep"], given["sample"]))

        copied.__dict__["step"] = step
        return copied

    probe.__dict__.update(set_timesteps=set_timesteps, step=step, __deepcopy__=copied)
    if "init_noise_sigma" in probe.__dict__:
        # Latents come and go without the deviation of the first noise.
        probe.__dict__["init_noise_sigma"] = 1.0
    return probe


def model_output(scheduler: Any, output: Tensor, sample: Tensor) -> Tensor:
    """A model's output without the variance that it has learned beside it, which follows in further channels."""
    learned = scheduler.config.get("variance_type") in ("learned", "learned_range")
    two = output.ndim == sample.ndim > 1 and output.shape[1] == 2 * sample.shape[1]
    return output[:, : sample.shape[1]] if learned and two else output


def _answer(given: Mapping[str, Any], latents: Tensor) -> Any:
    """What a step gives back, in the form that its caller requests."""
    if not given.get("return_dict", True):
        return latents, latents
    return BaseOutput(prev_sample=latents, pred_original_sample=latents)


@cache
def _signatures(kind: Any) -> tuple[inspect.Signature, inspect.Signature]:
    """Those of a scheduler's ``set_timesteps`` and ``step``: of a base that names the arguments the class passes on."""
    steps = [inspect.signature(vars(each)["step"]) for each in kind.__mro__ if "step" in vars(each)]
    step = next((each for each in steps if "model_output" in each.parameters), steps[0])
    return inspect.signature(kind.set_timesteps), step


def _named(signature: inspect.Signature, probe: Any, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a step by name, those of ``**kwargs`` among them."""
    bound = signature.bind(probe, *args, **kwargs)
    bound.apply_defaults()
    given = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given |= given.pop(name)
    return given


def real_copy(probe: Any) -> Any:
    """A scheduler like the real one of a probe, and as far in its run."""
    found = copy.copy(probe)
    found.__dict__ = {
        name: copy.deepcopy(value) for name, value in probe.__dict__.items() if name not in _REPLACED
    }
    return found


def _own(value: Any) -> Any:
    """A value of the real scheduler for the probe: lists are refilled in place, tensors are replaced."""
    return list(value) if type(value) is list else value


@attrs.frozen(eq=False)
class Presented:
    """A timestep as a network gets it, and the scheduler's sigma at it (None where it has none).

    ``behind``: how many timesteps there are behind the last turn.
    """

    timestep: Tensor
    sigma: float | None
    behind: int = 0


def present(probe: Any, at: Presented, count: int, device: Any) -> None:
    """Let the probe have ``count`` times the same timestep, on a device."""
    probe.timesteps = at.timestep.to(device).expand(count + at.behind).clone()
    probe.num_inference_steps = count
    if at.sigma is not None:
        # One more than timesteps, as schedulers have them: what follows the last.
        probe.sigmas = torch.full(
            (count + at.behind + 1,), at.sigma, device=probe.sigmas.device, dtype=probe.sigmas.dtype
        )
    probe.__dict__["_step_index"] = 0
    probe.__dict__["_begin_index"] = 0
