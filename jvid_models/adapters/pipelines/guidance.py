"""How far a pipeline guides by itself: the scale of classifier-free guidance that its own call uses."""

from __future__ import annotations

from typing import Any

from jvid.errors import InputError
from jvid_models.adapters.pipelines.call import PipelineCall

__all__ = ["SCALES", "own_guidance", "scale_name", "unguided"]

SCALES = ("true_cfg_scale", "guidance_scale")
"""Arguments that hold the scale, the stronger first: beside true_cfg_scale, guidance_scale is an input of the network."""


def scale_name(call: PipelineCall) -> str | None:
    """The argument that a user's scale is for: the one that guides, or the one that is an input of the network."""
    if "guidance_scale" in call.parameters and _embeds_guidance(call.pipe):
        return "guidance_scale"
    return next((each for each in SCALES if each in call.parameters), None)


def own_guidance(call: PipelineCall) -> float:
    """The scale of a call; 1 where the pipeline does not guide, or hands the scale to its network."""
    name = next((each for each in SCALES if each in call.parameters), None)
    if name is None or (name == "guidance_scale" and _embeds_guidance(call.pipe)):
        return 1.0
    value = call.options.get(name, call.parameters[name].default)
    return float(value) if isinstance(value, int | float) and value > 1.0 else 1.0


def unguided(call: PipelineCall) -> dict[str, Any]:
    """The options of a call without guidance; a scale that is an input of the network stays as it is.

    Raises:
        InputError: the options state a scale that guides.
    """
    name = next((each for each in SCALES if each in call.parameters), None)
    if name is None or own_guidance(call) == 1.0:
        return dict(call.options)
    if name in call.options:
        raise InputError(
            f"{call.who} got {name}={call.options[name]!r}: a network is trained without guidance, leave it out"
        )
    return {**call.options, name: 1.0}


def _embeds_guidance(pipe: Any) -> bool:
    config = getattr(getattr(pipe, "transformer", None) or getattr(pipe, "unet", None), "config", None)
    return (
        bool(getattr(config, "guidance_embeds", False))
        or getattr(config, "time_cond_proj_dim", None) is not None
    )
