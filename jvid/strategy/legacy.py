"""Strategies of version 0.1 as values of today: "guidance", "noise" and "smoothing" become wrappers, noise and postprocessors.

    {"guidance": 2.0, "noise": {"image": {"gamma": 0.02}}, "smoothing": {"name": "temporal", "options": {"threshold": 2}}}
    {"experts": {"*": {"wrappers": ["guided:scale=2.0"]}, "image": {"noise": "scaled:gamma=0.02"}},
     "postprocessors": ["temporal:threshold=2"]}

Their experts were always called video and image, and an absent guidance was a scale of 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jvid.errors import InputError
from jvid.strategy.guidance import Guidance
from jvid.strategy.shape import noise_choice

__all__ = ["is_legacy", "upgraded"]

_EXPERTS = ("video", "image")
_OLD = ("guidance", "noise", "smoothing")
_NEW = ("experts", "postprocessors", "schedule", "initial")
_GUIDANCE = ("scale", "interval", "rescale", "against")
_NOISE = ("gamma", "ratio")


def is_legacy(values: Mapping[str, Any]) -> bool:
    """Whether the values are an older version's."""
    return any(key in values for key in _OLD) and not any(key in values for key in _NEW)


def upgraded(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of today; such that are not an older version's as they are.

    Raises:
        InputError: guidance or noise of another form, or of an expert that those versions did not have.
    """
    if not is_legacy(values):
        return values
    experts: dict[str, dict[str, Any]] = {}
    guidance = values.get("guidance", 2.0)
    if isinstance(guidance, Mapping):
        if not guidance:
            raise InputError("at guidance: names no expert: expected a number, or some of video, image")
        for name, each in guidance.items():
            experts[_known(name, "guidance")] = {"wrappers": [_guidance(name, each).choice().to_plain()]}
    else:
        experts["*"] = {"wrappers": [_guidance("all", guidance).choice().to_plain()]}
    noise = values.get("noise") or {}
    if not isinstance(noise, Mapping):
        raise InputError(f"at noise: got {noise!r}, expected gamma and ratio by expert")
    for name, each in noise.items():
        if (chosen := _noise(name, each)) is not None:
            experts.setdefault(_known(name, "noise"), {})["noise"] = chosen
    kept = {key: value for key, value in values.items() if key not in _OLD}
    smoothing = values.get("smoothing")
    return {**kept, "experts": experts, "postprocessors": [] if smoothing is None else [smoothing]}


def _known(name: str, where: str) -> str:
    if name not in _EXPERTS:
        raise InputError(f"at {where}: expert {name!r}, expected one of {', '.join(_EXPERTS)}")
    return name


def _guidance(name: str, value: Any) -> Guidance:
    if not isinstance(value, Mapping):
        value = {"scale": value}
    if unknown := [key for key in value if key not in _GUIDANCE]:
        raise InputError(
            f"at guidance: unknown key {unknown[0]!r} for {name}, expected {', '.join(_GUIDANCE)}"
        )
    if "scale" not in value:
        raise InputError(f"at guidance: no scale for {name}, expected {', '.join(_GUIDANCE)}")
    try:
        return Guidance(**value)
    except InputError as error:
        raise InputError(f"at guidance: {error}") from error


def _noise(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"at noise: got {value!r} for {name}, expected {', '.join(_NOISE)}")
    if unknown := [key for key in value if key not in _NOISE]:
        raise InputError(f"at noise: unknown key {unknown[0]!r} for {name}, expected {', '.join(_NOISE)}")
    try:
        chosen = noise_choice(value.get("gamma", 1.0), value.get("ratio", 0.0))
    except InputError as error:
        raise InputError(f"at noise: {name}: {error}") from error
    return None if chosen is None else chosen.to_plain()
