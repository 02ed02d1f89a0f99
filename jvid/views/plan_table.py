"""A plan on the terminal: a row for each run of steps with the same experts, then one letter a step.

    steps            t     P(video)     P(image)  expert
     1-20  0.981-0.601  1.000-0.721  0.000-0.279  video
       21        0.581        0.693        0.307  image
    ...
    vvvvvvvvvv vvvvvvvvvv ivv...
    plan seed 0: 50 steps, video 32, image 18, 15 switches

Steps count from 1, as in progress bars and errors. ``a-b`` goes one way from a to b; ``a~b`` moves to and fro
between a and b, as t does on a grid that rises. P is shown where experts are drawn at random.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from jvid.extras import extra

with extra("cli"):
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jvid.core.plan import Plan
    from jvid.core.protocols import Step

__all__ = ["plan_table"]

_COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red")
_SIGNS = "123456789abcdefghijklmnopqrstuvwxyz"
_WIDEST = 50


def plan_table(plan: Plan) -> Group:
    """What ``rich`` prints of a plan."""
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(plan.experts)}
    return Group(_rows(plan, colours), "", _strip(plan, colours), Text(plan.summary()))


def _rows(plan: Plan, colours: dict[str, str]) -> Table:
    table = Table(show_edge=False, pad_edge=False, box=None)
    for heading in ("steps", "t"):
        table.add_column(heading, justify="right", no_wrap=True)
    drawn = plan.shares if plan.is_random else None
    named = [name for name in plan.experts if any(name in shares for shares in drawn or ())]
    form = ".3f" if len(named) < 3 else ".2f"
    # Columns that would not fit beside each other are one, of whoever predicts.
    wide = sum(max(len(name) + 3, 9) + 2 for name in named) > _WIDEST
    for heading in [] if drawn is None else ["P"] if wide else [f"P({name})" for name in named]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("expert")
    for _, group in groupby(enumerate(plan.steps), key=lambda item: item[1].active):
        run = list(group)
        positions, steps = [at for at, _ in run], [step for _, step in run]
        first, last = steps[0].index + 1, steps[-1].index + 1
        cells: list[str | Text] = [
            str(first) if first == last else f"{first}-{last}",
            _span([step.start.t for step in steps], ".3f"),
        ]
        if drawn is not None:
            shown = [steps[0].expert] if wide else named
            cells += [_span([drawn[at].get(name, 0.0) for at in positions], form) for name in shown]
        table.add_row(*cells, _who(steps, colours))
    return table


def _span(values: Sequence[float], form: str) -> str:
    """The one value; from the first to the last if they rise or fall; else their range."""
    low, high = format(min(values), form), format(max(values), form)
    if low == high:
        return low
    pairs = list(pairwise(values))
    if all(a <= b for a, b in pairs) or all(a >= b for a, b in pairs):
        return f"{values[0]:{form}}-{values[-1]:{form}}"
    return f"{high}~{low}" if values[0] > values[-1] else f"{low}~{high}"


def _who(steps: Sequence[Step], colours: dict[str, str]) -> Text:
    who = Text()
    names = steps[0].weights
    for name in names:
        label = name if len(names) == 1 else f"{name} {_span([step.weights[name] for step in steps], '.3g')}"
        who.append(("  " if who else "") + label, style=colours[name])
    return who


def _strip(plan: Plan, colours: dict[str, str]) -> Text:
    """One sign a step, of its dominant expert, in tens; a line explains them where they are no first letters."""
    signs = {name: name[0] for name in plan.experts}
    if numbered := len(set(signs.values())) < len(signs):
        signs = {name: _SIGNS[i % len(_SIGNS)] for i, name in enumerate(plan.experts)}
    strip = Text()
    for position, step in enumerate(plan.steps):
        if position and position % 10 == 0:
            strip.append(" ")
        strip.append(signs[step.expert], style=colours[step.expert])
    if numbered:
        strip.append("\n" + "  ".join(f"{sign} {name}" for name, sign in signs.items()))
    return strip
