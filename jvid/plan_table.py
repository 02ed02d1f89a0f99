"""A plan on the terminal: a row for each run of steps with the same experts, then one letter a step.

    steps            t       P(video)  expert
     1-20  0.981-0.601  1.000-0.721  video
       21        0.581        0.693  image
    ...
    vvvvvvvvvv vvvvvvvvvv ivv...
    plan seed 0: 50 steps, video 32, image 18, 15 switches

Fifty steps fit on one screen; steps count from 1, as in progress bars and errors.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jvid.plan import Plan
    from jvid.step import Step

__all__ = ["plan_table"]

_COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red")


def plan_table(plan: Plan) -> Group:
    """What ``rich`` prints of a plan."""
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(plan.experts)}
    return Group(_rows(plan, colours), "", _strip(plan, colours), Text(plan.summary()))


def _rows(plan: Plan, colours: dict[str, str]) -> Table:
    table = Table(show_edge=False, pad_edge=False, box=None)
    for heading in ("steps", "t"):
        table.add_column(heading, justify="right", no_wrap=True)
    told = plan.probabilities
    if told is not None:
        names = plan.selector.get("experts") or plan.experts
        table.add_column(f"P({names[0]})", justify="right", no_wrap=True)
    table.add_column("expert")
    for _, group in groupby(enumerate(plan.steps), key=lambda item: dict(item[1].weights)):
        run = list(group)
        positions, steps = [at for at, _ in run], [step for _, step in run]
        cells: list[str | Text] = [
            _span([str(step.index + 1) for step in steps]),
            _span([f"{step.start.t:.3f}" for step in steps]),
        ]
        if told is not None:
            cells.append(_span([f"{told[at]:.3f}" for at in positions]))
        table.add_row(*cells, _who(steps[0], colours))
    return table


def _span(values: Sequence[str]) -> str:
    """The first and the last, or the one value that both are."""
    return values[0] if values[0] == values[-1] else f"{values[0]}-{values[-1]}"


def _who(step: Step, colours: dict[str, str]) -> Text:
    who = Text()
    for name, weight in step.weights.items():
        label = name if len(step.weights) == 1 else f"{name} {weight:.3g}"
        who.append(("  " if who else "") + label, style=colours[name])
    return who


def _strip(plan: Plan, colours: dict[str, str]) -> Text:
    """One letter a step, of its dominant expert, in tens; digits where first letters coincide."""
    initials = {name: name[0] for name in plan.experts}
    if len(set(initials.values())) < len(initials):
        initials = {name: str(i) for i, name in enumerate(plan.experts)}
    strip = Text()
    for position, step in enumerate(plan.steps):
        if position and position % 10 == 0:
            strip.append(" ")
        strip.append(initials[step.expert], style=colours[step.expert])
    return strip
