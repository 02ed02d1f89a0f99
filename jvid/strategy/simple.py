"""The strategy of an ensemble that recommends none."""

from __future__ import annotations

from collections.abc import Sequence

from jvid.plugins.choice import Choice
from jvid.strategy.strategy import Strategy

__all__ = ["simple"]


def simple(experts: Sequence[str]) -> Strategy:
    """Its only expert at every step, or all of them in equal parts, each step another one."""
    if len(experts) == 1:
        return Strategy(Choice("always", {"name": experts[0]}))
    return Strategy(Choice("cycle", {"experts": "+".join(experts)}))
