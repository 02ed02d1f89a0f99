"""A drive through a run of a stated number of steps, at the pipeline's own levels.

    turn     0      1      2      3          levels of the run, as the pipeline sets them
    t                 x                      the evaluation is the turn whose level is the nearest, at its own level

Pipelines that look at where they are in a run (a schedule of guidance, what is on in the first steps alone, a flow map that is
given the level of the next turn) are evaluated so. Networks are replayed in the turns before the evaluated one, and called in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from torch import Tensor

from jvid_models.adapters.pipelines.manner import ONCE, Manner
from jvid_models.adapters.pipelines.networks import PipelineNetworks
from jvid_models.adapters.pipelines.presenting import leave
from jvid_models.adapters.pipelines.probe import Presented, StepCall, real_copy

__all__ = ["Rehearsing", "nearest"]


@attrs.define(eq=False)
class Rehearsing:
    """The turns of a run; the latents stay as they are before ``turn``, from which each step does ``stepped``, or leaves.

    Attributes:
        networks: of the pipeline, replayed; they are live in ``turn`` where ``at`` is given.
        stepped: as of `Presenting`.
        turn: the first that is of interest.
        skipped: how many of the scheduler's timesteps the loop skips before its first turn.
        at: the level in the place of that turn's; None is its own.
        manner: as of `Drive`.
    """

    networks: PipelineNetworks
    stepped: Callable[[StepCall], Tensor] = leave
    turn: int = 0
    at: Presented | None = None
    manner: Manner = ONCE
    skipped: int = 0
    _count: int = attrs.field(default=0, init=False)

    def set_timesteps(self, probe: Any, own: Callable[[], None], device: Any) -> None:
        """Let the scheduler set its own, and put in the level of the evaluation."""
        own()
        self._count = 0
        self.networks.live = self.at is not None and self.turn == 0
        if self.at is not None and self.skipped + self.turn < len(probe.timesteps):
            _put(probe, self.skipped + self.turn, self.at)
        probe.__dict__["_step_index"] = self.skipped
        probe.__dict__["_begin_index"] = self.skipped

    def step(self, probe: Any, call: StepCall) -> Tensor:
        """Keep the latents, or do as given with the call."""
        latents = call.sample if self._count < self.turn else self.stepped(call)
        self._count += 1
        self.networks.live = self.at is not None and self._count == self.turn
        self.networks.turned()
        probe.__dict__["_step_index"] = min(self.skipped + self._count, len(probe.timesteps) - 1)
        return latents

    def copied(self, probe: Any) -> Any:
        """A scheduler of its own."""
        return real_copy(probe)


def nearest(times: Sequence[float], t: float) -> int:
    """The turn whose time is the nearest to t."""
    return min(range(len(times)), key=lambda turn: abs(times[turn] - t))


def _put(probe: Any, turn: int, at: Presented) -> None:
    """A level in the place of that of a turn."""
    timesteps = probe.timesteps.to(at.timestep.dtype) if at.timestep.is_floating_point() else probe.timesteps
    probe.timesteps = timesteps.clone()
    probe.timesteps[turn] = at.timestep.to(probe.timesteps)
    if at.sigma is not None:
        probe.sigmas = probe.sigmas.clone()
        probe.sigmas[turn] = at.sigma
