"""The canonical form of strategies: one form for all that make the same clips of an ensemble.

wrappers    of the experts that the selector may choose, inherited ones stated; under "*" where all have the same
guided      with the numbers that change something; a scale of 1 is no wrapper
noise       of experts on whose steps the solver draws some; plain independent noise is not stated
schedule    not stated where it is the ensemble's own
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from jvid.ensemble.compose import Composition
from jvid.errors import InputError
from jvid.strategy.guidance import Guidance, is_guided
from jvid.strategy.shape import noise_choice, noise_numbers
from jvid.strategy.strategy import EVERY, ExpertStrategy, Strategy

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.plugins.choice import Choice

__all__ = ["canonical"]


def canonical(strategy: Strategy, ensemble: Ensemble | None = None) -> Strategy:
    """The canonical form of a strategy; equal ones have equal forms.

    Args:
        strategy: of any form.
        ensemble: whose clips they are; without one, wrappers that are not stated stay so.

    Raises:
        InputError: an option that a component refuses, or an expert that there is not.
        UnknownNameError: a component that no plugin registers.
    """
    composition = Composition(strategy, ensemble)
    unused = composition.unused_noise()
    stacks: dict[str, tuple[Choice, ...] | None] = {}
    noises: dict[str, Choice | None] = {}
    for name in composition.experts:
        unstated = ensemble is None and strategy.of(name).wrappers is None
        stacks[name] = None if unstated else _simplest(composition.wrappers(name))
        noises[name] = None if name in unused else _noise(strategy.of(name).noise)
    alike = len(set(stacks.values())) == 1
    experts = {EVERY: ExpertStrategy(next(iter(stacks.values())))} if alike else {}
    experts |= {
        name: ExpertStrategy(None if alike else stack, noises[name]) for name, stack in stacks.items()
    }
    initial = None if strategy.initial is None else _noise(strategy.initial)
    own = ensemble is not None and strategy.schedule is not None and composition.schedule == ensemble.schedule
    schedule = None if own else strategy.schedule
    return attrs.evolve(strategy, experts=experts, initial=initial, schedule=schedule)


def _simplest(wrappers: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """A stack without what changes nothing."""
    found = []
    for wrapper in wrappers:
        if is_guided(wrapper):
            try:
                guidance = Guidance.of(wrapper)
            except InputError:  # options of another form, which building it will report
                found.append(wrapper)
                continue
            if guidance.scale == 1.0:
                continue
            wrapper = guidance.choice()
        found.append(wrapper)
    return tuple(found)


def _noise(choice: Choice | None) -> Choice | None:
    """A noise by gamma and r where they describe it; None where it is plain."""
    numbers = noise_numbers(choice)
    return choice if numbers is None else noise_choice(*numbers)
