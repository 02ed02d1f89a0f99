"""Strategies of version 0.1 as values of today: "guidance", "noise" and "smoothing" become wrappers, noise and postprocessors.

    {"guidance": 2.0, "noise": {"image": {"gamma": 0.02}}, "smoothing": {"name": "temporal", "options": {"threshold": 2}}}
    {"experts": {"*": {"wrappers": ["guided:scale=2.0"]}, "image": {"noise": "scaled:gamma=0.02"}},
     "postprocessors": ["temporal:threshold=2"]}

Their experts were always called video and image, and an absent guidance was a scale of 2. ``downgraded`` writes that form
again: what was kept under a digest of it is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.strategy.guidance import Guidance, is_guided
from jvid.strategy.shape import noise_choice, noise_numbers

__all__ = ["downgraded", "is_legacy", "upgraded"]

_EXPERTS = ("video", "image")
_OLD = ("guidance", "noise", "smoothing")
_NEW = ("experts", "postprocessors", "schedule", "initial")
_GUIDANCE = ("scale", "interval", "rescale", "against")
_NOISE = ("gamma", "ratio")


def is_legacy(values: Mapping[str, Any]) -> bool:
    """Whether the values are an older version's."""
    return any(key in values for key in _OLD) and not any(key in values for key in _NEW)


def upgraded(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values in the form of today; values that are in it already are returned unchanged.

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


def downgraded(values: Mapping[str, Any], experts: Sequence[str]) -> dict[str, Any] | None:
    """The values that version 0.1 would have written; None where it could not express the strategy.

    Args:
        values: of today.
        experts: that the selector may choose.
    """
    stated, postprocessors = values.get("experts", {}), values.get("postprocessors", [])
    if (
        not set(experts) <= set(_EXPERTS)
        or len(postprocessors) > 1
        or values.keys() & {"schedule", "initial"}
    ):
        return None
    every = stated.get("*", {})
    guidance: dict[str, Guidance] = {}
    noise: dict[str, Any] = {}
    for name in experts:
        own = {**every, **stated.get(name, {})}
        guided = _only_guidance(own.get("wrappers"))
        numbers = noise_numbers(None if "noise" not in own else Choice.from_plain(own["noise"]))
        if guided is None or numbers is None:
            return None
        guidance[name] = guided
        if numbers != (1.0, 0.0):
            noise[name] = dict(zip(_NOISE, numbers, strict=True))
    first, *others = guidance.values()
    plain = first == Guidance(first.scale) and all(other == first for other in others)
    kept = {key: values[key] for key in ("steps", "plan_seed", "overlap")}
    choices = {key: _written(values[key]) for key in ("selector", "solver", "grid")}
    return {
        **choices,
        **kept,
        # All experts were named, if one was.
        "guidance": first.scale
        if plain
        else {name: _numbers(guidance.get(name, Guidance(2.0))) for name in _EXPERTS},
        "noise": noise,
        "smoothing": _written(postprocessors[0]) if postprocessors else None,
    }


def _only_guidance(wrappers: Any) -> Guidance | None:
    """The guidance of a stack that has nothing else; a bare denoiser has a scale of 1."""
    if wrappers is None or len(wrappers) > 1:
        return None
    if not wrappers:
        return Guidance(1.0)
    choice = Choice.from_plain(wrappers[0])
    try:
        return Guidance.of(choice) if is_guided(choice) else None
    except InputError:
        return None


def _numbers(guidance: Guidance) -> dict[str, Any]:
    interval = None if guidance.interval is None else list(guidance.interval)
    values = {"scale": guidance.scale, "interval": interval, "rescale": guidance.rescale}
    return {**values, "against": guidance.against} if guidance.against else values


def _written(value: Any) -> dict[str, Any]:
    choice = Choice.from_plain(value)
    options = {
        key: each.to_plain() if isinstance(each, Choice) else each for key, each in choice.options.items()
    }
    return {"name": choice.name, "options": options}


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
