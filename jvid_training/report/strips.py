"""A strategy's plan as cells: who predicts at each step, the weights stacked from below.

A blended step's cell is divided by weight. An expert's colour is its place among the experts of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import attrs

from jvid.ensemble.compose import Composition
from jvid.errors import JvidError

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.strategy.strategy import Strategy

__all__ = ["COLOURS", "Cell", "Strip", "experts_of", "strip"]

COLOURS = 8
"""Of the style sheet, ``--e0`` to ``--e7``: Okabe and Ito's, which colour-blind readers distinguish; then paler."""


@attrs.frozen
class Cell:
    """A part of a step in the drawing: step k from x = k, y from the top; few enough steps have gaps."""

    expert: int
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Strip:
    """A plan: its cells in order, and the same in words for readers without colours."""

    steps: int
    cells: tuple[Cell, ...]
    summary: str
    runs: str


def experts_of(strategy: Strategy, ensemble: Ensemble | None = None) -> tuple[str, ...]:
    """The experts in the ensemble's order; without one, those that the selector declares, none where it declares none."""
    if ensemble is not None:
        return ensemble.experts
    try:
        return Composition(strategy).experts
    except JvidError:
        return ()


def strip(
    strategy: Strategy, ensemble: Ensemble | None = None, experts: Sequence[str] | None = None
) -> Strip | None:
    """The plan that all clips of a strategy share; None where a component of it is not installed here.

    Args:
        strategy: whose plan is drawn.
        ensemble: on whose schedule; None is the strategy's or the paper's.
        experts: whose places are their colours; those of the plan if None.
    """
    try:
        plan = Composition(strategy, ensemble).plan()
    except JvidError:
        return None
    order = tuple(plan.experts if experts is None else experts)
    cells = []
    width = 0.9 if len(plan) <= 120 else 1.0
    for place, step in enumerate(plan.steps):
        top = 1.0
        for number, name in enumerate(order):
            if height := step.weights.get(name, 0.0):
                top = round(top - height, 4)
                cells.append(Cell(number, place, top, width, round(height, 4)))
    return Strip(len(plan), tuple(cells), plan.summary(), _runs([step.expert for step in plan.steps]))


def _runs(experts: list[str]) -> str:
    """``1-20 video, 21 image, ...``: the expert of each run of steps (the heavier one of a blend)."""
    parts, first = [], 1
    for name, group in groupby(experts):
        last = first + len(list(group)) - 1
        parts.append(f"{first if first == last else f'{first}-{last}'} {name}")
        first = last + 1
    return ", ".join(parts)
