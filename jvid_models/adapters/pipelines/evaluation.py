"""One evaluation: a turn of a pipeline's loop by itself, or one of a run of a stated number of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from jvid_models.adapters.pipelines.answers import Inject
from jvid_models.adapters.pipelines.entry import enter
from jvid_models.adapters.pipelines.kept import KeptOfRun
from jvid_models.adapters.pipelines.presenting import Presenting
from jvid_models.adapters.pipelines.probe import Drive, StepCall
from jvid_models.adapters.pipelines.rehearsing import Rehearsing, nearest
from jvid_models.adapters.pipelines.setting import Setting

__all__ = ["given_back", "step_at"]


def step_at(
    setting: Setting,
    pipe: Any,
    arguments: Mapping[str, Any],
    kept: KeptOfRun,
    inject: Inject,
    time: float,
    differentiable: bool = False,
) -> StepCall:
    """The call of the pipeline's scheduler at a time in [0, 1], with the latents that ``inject`` gives.

    ``differentiable``: its output has a graph.
    """
    networks, at, drive = setting.networks, setting.levels.presented(time), None
    if setting.times:
        turn = nearest(setting.times, time)
        drive = Rehearsing(networks, turn=turn, at=at, manner=setting.manner, skipped=setting.skipped)
    with networks.replayed() if drive is not None else networks.restored():
        step: StepCall = enter(
            pipe,
            arguments,
            drive or Presenting(at, manner=setting.manner),
            kept.answers,
            inject,
            kept.caches,
            differentiable,
        )
    return step


def given_back(setting: Setting, latents: Tensor) -> Drive:
    """A drive whose scheduler gives back latents ``(b c f h w)``."""

    def stepped(call: StepCall) -> Tensor:
        return setting.layout.returned(latents, call.sample)

    if setting.times:
        return Rehearsing(setting.networks, stepped, manner=setting.manner, skipped=setting.skipped)
    return Presenting(setting.levels.presented(0.5), stepped, manner=setting.manner)
