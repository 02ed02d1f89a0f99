"""The latents of the clip that a pipeline changes: what it adds the noise of its strength to.

prepared = alpha x_0 + sigma eps        x_0 by its own encoder; the probe's ``add_noise`` gives x_0 back instead
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines.call import PLAIN, PipelineCall
from jvid_models.adapters.pipelines.entry import enter
from jvid_models.adapters.pipelines.presenting import Presenting
from jvid_models.adapters.pipelines.probe import Departure
from jvid_models.adapters.pipelines.setting import Setting

__all__ = ["clean_latents"]

_STEPS = 2
_ADDS_NOISE = ("add_noise", "scale_noise")


@attrs.define(eq=False)
class _WithoutNoise(Presenting):
    """A drive whose scheduler adds no noise to a clip; ``calls`` counts how often it was to."""

    calls: int = 0

    def set_timesteps(self, probe: Any, own: Callable[[], None], device: Any) -> None:
        """Hand out the one timestep, and leave clips as they are."""
        super().set_timesteps(probe, own, device)

        def unchanged(clip: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            self.calls += 1
            return clip

        probe.__dict__.update({name: unchanged for name in _ADDS_NOISE if hasattr(type(probe), name)})


def clean_latents(call: PipelineCall, setting: Setting) -> Tensor:
    """The latents ``(1 c f h w)`` of the clip or picture in the options of a call, float32 on the CPU.

    Raises:
        InputError: the pipeline does not let its scheduler add the noise to them.
    """
    if setting.form is not None:
        raise InputError(f"{call.who} prepares no latents of a clip: a run of it cannot begin from one")

    def leave(prepared: Tensor) -> Tensor:
        raise Departure(prepared)

    drive = _WithoutNoise(setting.levels.presented(0.5), manner=setting.manner)
    arguments = call.arguments([PLAIN], setting.sizes, _STEPS, skips=False)
    answers = setting.answers()
    with setting.networks.replayed():
        prepared = enter(call.pipe, arguments, drive, answers, leave)
    if drive.calls != 1:
        raise InputError(
            f"{call.who} prepares latents of a clip without its scheduler's add_noise: a run cannot start from them"
        )
    layout = setting.layout
    kept = setting.kept_latents([PLAIN], answers)
    return layout.completed(layout.prepared.gather(prepared).float().cpu(), kept)
