"""The paper's names for parts of a strategy: guidance, gamma, r and smoothing, as changes of its choices.

    with_guidance(s, 2.0)                   guided:scale=2.0 around every expert
    with_guidance(s, {"image": 3.0})        around one
    with_noise(s, "image", gamma=0.1)       scaled:gamma=0.1 on the image expert's steps

All of them keep the other wrappers of an expert's stack: ``guided`` is replaced where it is, or becomes the innermost.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.strategy.guidance import Guidance, as_guidance, is_guided
from jvid.strategy.shape import noise_choice, noise_numbers
from jvid.strategy.strategy import EVERY, ExpertStrategy, Strategy

__all__ = ["AnyGuidance", "guidance_of", "noise_of", "with_guidance", "with_noise"]

AnyGuidance = float | Guidance | Mapping[str, float | Guidance]
"""A scale or a ``Guidance`` for all experts, or by expert (``"*"`` is each that is not named)."""


def with_guidance(
    strategy: Strategy, guidance: AnyGuidance, defaults: Mapping[str, tuple[Choice, ...]] | None = None
) -> Strategy:
    """The strategy with other guidance: of all experts, or of those that a mapping names.

    Args:
        strategy: to change.
        guidance: of all experts, or by expert.
        defaults: the ensemble's own stacks by expert (``Ensemble.default_wrappers``), which an expert without a stated stack
            keeps beside its guidance; without, those stacks are replaced.

    Raises:
        InputError: a value of another form or out of range, or a mapping without an expert.
    """
    defaults = defaults or {}
    if not isinstance(guidance, Mapping):
        return _guided_all(strategy, as_guidance(guidance), defaults)
    if not guidance:
        raise InputError("guidance by expert names none: expected a number, or scales by expert")
    for expert, each in guidance.items():
        if expert == EVERY:
            strategy = _with_defaults(strategy, as_guidance(each), defaults, leave=tuple(guidance))
        stack = strategy.of(expert).wrappers
        if stack is None:
            stack = defaults.get(expert, ())
        own = strategy.experts.get(expert, ExpertStrategy())
        strategy = strategy.with_expert(expert, attrs.evolve(own, wrappers=_with(stack, as_guidance(each))))
    return strategy


def _guided_all(strategy: Strategy, value: Guidance, defaults: Mapping[str, tuple[Choice, ...]]) -> Strategy:
    strategy = _with_defaults(strategy, value, defaults)
    experts = dict(strategy.experts)
    every = experts.get(EVERY, ExpertStrategy())
    for name, own in experts.items():
        if own.wrappers is None or name == EVERY:
            continue
        alone = all(is_guided(wrapper) for wrapper in own.wrappers)
        # A stack of guidance alone states nothing that "*" does not.
        experts[name] = attrs.evolve(own, wrappers=None if alone else _with(own.wrappers, value))
    experts[EVERY] = attrs.evolve(every, wrappers=_with(every.wrappers or (), value))
    return attrs.evolve(strategy, experts=experts)


def _with_defaults(
    strategy: Strategy,
    value: Guidance,
    defaults: Mapping[str, tuple[Choice, ...]],
    leave: tuple[str, ...] = (),
) -> Strategy:
    """State the default stacks that hold more than guidance: a stack of ``"*"`` would replace them."""
    for name, stack in defaults.items():
        if name in leave or strategy.of(name).wrappers is not None or all(map(is_guided, stack)):
            continue
        own = strategy.experts.get(name, ExpertStrategy())
        strategy = strategy.with_expert(name, attrs.evolve(own, wrappers=_with(stack, value)))
    return strategy


def guidance_of(strategy: Strategy, expert: str) -> Guidance | None:
    """The guidance that a strategy states for an expert; None where it states none."""
    wrappers = strategy.of(expert).wrappers
    found = [wrapper for wrapper in wrappers or () if is_guided(wrapper)]
    return Guidance.of(found[0]) if found else None


def with_noise(
    strategy: Strategy, expert: str, gamma: float | None = None, ratio: float | None = None
) -> Strategy:
    """The strategy with gamma, r or both of the noise on an expert's steps changed.

    Raises:
        InputError: a number out of range, or noise of another kind on those steps.
    """
    own = strategy.of(expert)
    numbers = noise_numbers(own.noise)
    if numbers is None:
        raise InputError(
            f"the noise of {expert} is {own.noise}: gamma and ratio are those of scaled or shared noise, state it whole"
        )
    noise = noise_choice(numbers[0] if gamma is None else gamma, numbers[1] if ratio is None else ratio)
    stated = strategy.experts.get(expert, ExpertStrategy())
    if noise is None and strategy.experts.get(EVERY, ExpertStrategy()).noise is not None and expert != EVERY:
        noise = Choice("independent")  # nothing stated would be the noise of "*"
    return strategy.with_expert(expert, attrs.evolve(stated, noise=noise))


def noise_of(strategy: Strategy, expert: str) -> tuple[float, float] | None:
    """gamma and r of the noise on an expert's steps; None where it is another kind of noise."""
    return noise_numbers(strategy.of(expert).noise)


def _with(wrappers: tuple[Choice, ...], guidance: Guidance) -> tuple[Choice, ...]:
    places = [place for place, wrapper in enumerate(wrappers) if is_guided(wrapper)]
    if not places:
        return (guidance.choice(), *wrappers)
    first = places[0]
    return tuple(
        guidance.choice() if place == first else wrapper
        for place, wrapper in enumerate(wrappers)
        if place == first or not is_guided(wrapper)
    )
