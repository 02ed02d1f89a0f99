"""A strategy in words, and its plan as cells: who predicts at each step, the weights stacked from below.

A blended step's cell is divided by weight. The expert's colour is its place in ``EXPERTS``, on the whole page.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import attrs

from jvid.core.protocols import NoiseSchedule
from jvid.ensemble import EXPERTS
from jvid.errors import JvidError
from jvid.plugins.choice import Choice
from jvid.strategy.guidance import AnyGuidance, Guidance
from jvid.strategy.strategy import Strategy


@attrs.frozen
class Cell:
    """A part of a step in the drawing: step k from x = k, y from the top; steps few enough to be told apart have gaps."""

    expert: int
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Strip:
    """A plan: its cells in order, and what a reader who cannot see them is told."""

    steps: int
    cells: tuple[Cell, ...]
    counts: Mapping[str, int]
    calls: Mapping[str, int]
    summary: str
    runs: str


def strip(strategy: Strategy, schedule: NoiseSchedule | None = None) -> Strip | None:
    """The plan that all clips of the strategy share; None where a component of it is not installed here."""
    try:
        plan = strategy.plan(schedule)
        calls = plan.calls(strategy.solver.load("solver"))
    except JvidError:
        return None
    cells = []
    width = 0.9 if len(plan) <= 120 else 1.0
    for place, step in enumerate(plan.steps):
        top = 1.0
        for name in EXPERTS:
            if height := step.weights.get(name, 0.0):
                top = round(top - height, 4)
                cells.append(Cell(EXPERTS.index(name), place, top, width, round(height, 4)))
    asked = {name: count for name, count in plan.counts.items() if count}
    return Strip(len(plan), tuple(cells), asked, calls, plan.summary(), _runs([s.expert for s in plan.steps]))


def _runs(experts: list[str]) -> str:
    """``1-20 video, 21 image, ...``: the expert of each run of steps (the heavier one of a blend)."""
    parts, first = [], 1
    for name, group in groupby(experts):
        last = first + len(list(group)) - 1
        parts.append(f"{first if first == last else f'{first}-{last}'} {name}")
        first = last + 1
    return ", ".join(parts)


def words(strategy: Strategy) -> dict[str, str]:
    """The strategy's parts by name, in words: solver, selector, guidance, noise, smoothing."""
    steps = f"{strategy.steps} step{'s' * (strategy.steps != 1)}"
    grid = "" if strategy.grid == Choice("leading") else f", {choice(strategy.grid)} grid"
    return {
        "selector": choice(strategy.selector),
        "solver": f"{choice(strategy.solver)}, {steps}{grid}",
        "guidance": _guidance(strategy.guidance),
        "noise": _noise(strategy),
        "smoothing": "none" if strategy.smoothing is None else choice(strategy.smoothing),
    }


def one_line(strategy: Strategy) -> str:
    """The same in a line; what is not there is left out."""
    told = words(strategy)
    parts = [told["solver"], told["selector"], f"guidance {told['guidance']}", f"noise {told['noise']}"]
    return "; ".join([*parts, *([f"smoothing {told['smoothing']}"] if strategy.smoothing else [])])


def choice(value: Choice) -> str:
    """``piecewise-affine (t_v 0.6, t_e 0.9)``."""
    options = ", ".join(f"{key} {_plain(option)}" for key, option in value.options.items())
    return f"{value.name} ({options})" if options else value.name


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "+".join(map(_plain, value)) if isinstance(value, (list, tuple)) else str(value)


def _guidance(guidance: AnyGuidance) -> str:
    if not isinstance(guidance, Mapping):
        return f"scale {guidance:g}"
    if len(set(guidance.values())) == 1 and len(guidance) == len(EXPERTS):
        return _guide(next(iter(guidance.values())))
    return "; ".join(f"{name}: {_guide(guide)}" for name, guide in guidance.items())


def _guide(guide: Guidance) -> str:
    interval = "" if guide.interval is None else " for t from {:g} to {:g}".format(*guide.interval)
    against = f" away from {guide.against}" if guide.against else ""
    return f"scale {guide.scale:g}{against}{interval}" + (
        f", rescaled by {guide.rescale:g}" if guide.rescale else ""
    )


def _noise(strategy: Strategy) -> str:
    """gamma and r by expert; plain noise is gamma 1, r 0."""
    told = [
        f"{name} steps: \N{GREEK SMALL LETTER GAMMA} {shape.gamma:g}, r {shape.ratio:g}"
        for name, shape in strategy.noise.items()
        if shape.gamma != 1.0 or shape.ratio
    ]
    return "; ".join(told) or "plain (\N{GREEK SMALL LETTER GAMMA} 1, r 0)"
