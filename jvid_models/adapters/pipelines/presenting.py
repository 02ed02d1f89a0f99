"""A drive that hands a pipeline one timestep, some times over, and does as it is given with the model's outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs
from torch import Tensor

from jvid_models.adapters.pipelines.manner import ONCE, Manner
from jvid_models.adapters.pipelines.probe import Departure, Presented, StepCall, present, real_copy

__all__ = ["Presenting", "leave"]


def leave(call: StepCall) -> Tensor:
    """Leave the pipeline with the call of its scheduler."""
    raise Departure(call)


@attrs.define(eq=False)
class Presenting:
    """``count`` turns at one level; each step does ``stepped``, or leaves."""

    at: Presented
    stepped: Callable[[StepCall], Tensor] = leave
    count: int = 1
    manner: Manner = ONCE

    def set_timesteps(self, probe: Any, own: Callable[[], None], device: Any) -> None:
        """Hand out the one timestep."""
        present(probe, self.at, self.count, device)

    def step(self, probe: Any, call: StepCall) -> Tensor:
        """Do as given with the call; or leave."""
        latents = self.stepped(call)
        probe.__dict__["_step_index"] += 1
        return latents

    def copied(self, probe: Any) -> Any:
        """A scheduler that hands out the same timestep."""
        copy = real_copy(probe)

        @functools.wraps(copy.set_timesteps)
        def set_timesteps(*args: Any, **kwargs: Any) -> None:
            type(copy).set_timesteps(copy, *args, **kwargs)
            present(copy, self.at, self.count, copy.timesteps.device)

        copy.__dict__["set_timesteps"] = set_timesteps
        return copy
