"""The latents that a pipeline's own run begins with: drawn by its own method that prepares them, in jvid's form.

    x = prepared s / scale(t_1)        s: the deviation of the scheduler's first noise, scale: of its levels

The pipeline is called up to there, with its own number of timesteps, and left; one without ``prepare_latents`` is left in the
first step of its scheduler, its networks replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from jvid_models.adapters.pipelines.answers import Answers
from jvid_models.adapters.pipelines.entry import enter
from jvid_models.adapters.pipelines.loops import loop_of
from jvid_models.adapters.pipelines.probe import Departure
from jvid_models.adapters.pipelines.setting import Setting
from jvid_models.adapters.pipelines.visits import Visiting

__all__ = ["first_latents"]


def first_latents(
    pipe: Any, setting: Setting, arguments: Mapping[str, Any], answers: Answers, time: float
) -> Tensor:
    """The first latents ``(b c f h w)``, float32: those that the model predicts.

    Args:
        pipe: the pipeline.
        setting: of their shape.
        arguments: of the pipeline's call, its generator and its number of steps among them.
        answers: of its encoders; what is drawn before the loop is kept in them.
        time: the first that it visits.
    """
    # The probe of a scheduler that states its deviation has 1 in its place.
    scale = float(loop_of(pipe).scheduler.__dict__.get("init_noise_sigma", 1.0)) / setting.levels.scale(time)
    if setting.form is not None:
        return _stepped(pipe, setting, arguments).float() * scale

    def leave_with(prepared: Tensor) -> Tensor:
        raise Departure(prepared)

    visiting = Visiting(setting.networks.turned, setting.manner)
    prepared: Tensor = enter(pipe, arguments, visiting, answers, leave_with)
    return setting.layout.prepared.gather(prepared).float() * scale


def _stepped(pipe: Any, setting: Setting, arguments: Mapping[str, Any]) -> Tensor:
    """The latents of the first step, drawn by the pipeline's call itself."""

    def leave_now() -> None:
        raise Departure(None)

    visiting = Visiting(leave_now, setting.manner)
    with setting.networks.replayed():
        enter(pipe, arguments, visiting, Answers(setting.kept), lambda prepared: prepared)
    assert visiting.first is not None  # it was left in a step
    return setting.layout.extract(visiting.first)
