"""The front: the points that no other beats.

p beats q    when p is at least as good in every objective and better in one
margin m     p beats q clearly when it is better by the share m in every objective that was measured on clips
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["clearly_beaten", "front"]


def front(losses: Sequence[Sequence[float]]) -> list[bool]:
    """Whether each point ``(n, objectives)``, lower is better, is beaten by none; one with NaN never is."""
    values = np.asarray(losses, float).reshape(len(losses), len(losses[0]) if losses else 1)
    known = ~np.isnan(values).any(1)
    flags = []
    for point, whole in zip(values, known, strict=True):
        others = values[known]
        beaten = ((others <= point).all(1) & (others < point).any(1)).any()
        flags.append(bool(whole and not beaten))
    return flags


def clearly_beaten(
    point: Sequence[float], others: Iterable[Sequence[float]], margins: Sequence[float]
) -> bool:
    """Whether one of ``others`` is better by each objective's margin, a share of its own loss, in all of them.

    With a margin of 0 as good is enough: an exact figure, such as a cost, needs no room for chance.
    """
    if any(math.isnan(value) for value in point):
        return False
    return any(
        all(
            theirs * (1.0 + math.copysign(margin, theirs)) <= own
            for theirs, own, margin in zip(other, point, margins, strict=True)
        )
        for other in others
    )
