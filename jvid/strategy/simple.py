"""Strategies without further parts: of an ensemble that recommends none, and of one expert alone."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from jvid.plugins.choice import Choice
from jvid.strategy.strategy import Strategy

__all__ = ["alone", "plain", "simple"]


def simple(experts: Sequence[str]) -> Strategy:
    """Its only expert at every step, or all of them in equal parts, each step another one."""
    if len(experts) == 1:
        return Strategy(Choice("always", {"name": experts[0]}))
    return Strategy(Choice("cycle", {"experts": "+".join(experts)}))


def plain(strategy: Strategy) -> Strategy:
    """The strategy without what shapes noise and without postprocessors."""
    experts = {name: attrs.evolve(stated, noise=None) for name, stated in strategy.experts.items()}
    return attrs.evolve(strategy, experts=experts, postprocessors=(), initial=None)


def alone(strategy: Strategy, expert: str) -> Strategy:
    """One expert at every step of the strategy, with plain noise and no postprocessor."""
    return attrs.evolve(plain(strategy), selector=Choice("always", {"name": expert}))
