"""Guidance, noise and wrappers of experts, from the values of a space's paths and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from jvid.ensemble.canonical import canonical
from jvid.ensemble.compose import Composition
from jvid.plugins.choice import Choice
from jvid.strategy.guidance import Guidance, is_guided
from jvid.strategy.shorthand import noise_of, with_guidance, with_noise
from jvid.strategy.strategy import ExpertStrategy, Strategy
from jvid_training.search.families import options_of
from jvid_training.search.space_layout import COMPONENTS, GUIDANCE, NOISE

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid_training.search.axes import Axis

__all__ = ["guided", "shaped", "stacked", "value_at"]


def stacked(strategy: Strategy, values: Mapping[str, Any]) -> Strategy:
    """The strategy with the stacks of ``wrappers.NAME``."""
    for expert, text in _of("wrappers", values).items():
        stack = () if text == "none" else (Choice.parse(text),)
        stated = strategy.experts.get(expert, ExpertStrategy())
        strategy = strategy.with_expert(expert, attrs.evolve(stated, wrappers=stack))
    return strategy


def shaped(strategy: Strategy, values: Mapping[str, Any]) -> Strategy:
    """The strategy with the noise of ``noise.NAME``, a choice, or of ``noise.NAME.gamma`` and ``noise.NAME.ratio``."""
    for expert, found in _of("noise", values).items():
        if isinstance(found, Mapping):
            strategy = with_noise(strategy, expert, **found)
        else:
            stated = strategy.experts.get(expert, ExpertStrategy())
            strategy = strategy.with_expert(expert, attrs.evolve(stated, noise=Choice.parse(found)))
    return strategy


def guided(strategy: Strategy, values: Mapping[str, Any], ensemble: Ensemble) -> Strategy:
    """The strategy with the scale of ``guidance``, or with that of ``guidance.NAME.scale`` and its fellows."""
    if "guidance" in values:
        return with_guidance(strategy, values["guidance"])
    changed: dict[str, Guidance] = {}
    for expert, stated in _of("guidance", values).items():
        held = _guidance(strategy, expert, ensemble)
        low, high = held.interval or (0.0, 1.0)
        ends = sorted((stated.get("low", low), stated.get("high", high)))
        changed[expert] = Guidance(
            stated.get("scale", held.scale),
            (ends[0], ends[1]),
            stated.get("rescale", held.rescale),
            stated.get("against", held.against),
        )
    # What an expert inherits, it keeps beside its guidance.
    for expert in changed:
        if strategy.of(expert).wrappers is None:
            stated = strategy.experts.get(expert, ExpertStrategy())
            own = ensemble.member(expert).wrappers
            strategy = strategy.with_expert(expert, attrs.evolve(stated, wrappers=own))
    return with_guidance(strategy, changed) if changed else strategy


def value_at(strategy: Strategy, path: str, axis: Axis, ensemble: Ensemble) -> Any:
    """What a strategy has at a path, as its axis writes it; None if nothing that the path can hold."""
    part, _, rest = path.partition(".")
    if part in COMPONENTS:
        return _component(strategy, part, rest)
    if part == "steps":
        return strategy.steps
    if part == "guidance" and not rest:
        return _common_scale(strategy, ensemble)
    expert, _, field = _split(part, rest)
    if not field:  # a choice, which may be written in several ways
        changed, form = {"wrappers": stacked, "noise": shaped}[part], canonical(strategy, ensemble)
        same = (text for text in axis.ends() if canonical(changed(strategy, {path: text}), ensemble) == form)
        return next(same, None)
    if part == "noise":
        numbers = noise_of(strategy, expert)
        return None if numbers is None else dict(zip(NOISE, numbers, strict=True))[field]
    guidance = _guidance(strategy, expert, ensemble)
    low, high = guidance.interval or (0.0, 1.0)
    return {"low": low, "high": high}.get(field, getattr(guidance, field, None))


def _component(strategy: Strategy, part: str, rest: str) -> Any:
    held: Any = getattr(strategy, COMPONENTS[part][0])
    if part == "smoothing":
        if len(held) > 1:
            return None
        held = held[0] if held else None
    if not rest:
        return "none" if held is None else held.name
    return None if held is None else options_of(part, held).get(rest.partition(".")[2])


def _common_scale(strategy: Strategy, ensemble: Ensemble) -> float | None:
    """The scale of plain guidance that all experts which the selector may choose have."""
    experts = Composition(strategy, ensemble).experts
    found = {_guidance(strategy, name, ensemble) for name in experts}
    (first, *others) = found
    return first.scale if not others and first == Guidance(first.scale) else None


def _guidance(strategy: Strategy, expert: str, ensemble: Ensemble) -> Guidance:
    """The guidance of an expert's stack, stated or inherited; a scale of 1 where it has none."""
    stack = Composition(strategy, ensemble).wrappers(expert)
    return next((Guidance.of(wrapper) for wrapper in stack if is_guided(wrapper)), Guidance(1.0))


def _of(part: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the values have for each expert: a value, or values by field."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        own, _, rest = path.partition(".")
        if own != part or not rest:
            continue
        expert, _, field = _split(part, rest)
        if field:
            found.setdefault(expert, {})[field] = value
        else:
            found[expert] = value
    return found


def _split(part: str, rest: str) -> tuple[str, str, str]:
    """Expert and field of a path; names of experts may hold dots themselves."""
    fields = {"guidance": GUIDANCE, "noise": NOISE}.get(part, ())
    expert, dot, field = rest.rpartition(".")
    return (expert, dot, field) if dot and field in fields else (rest, "", "")
