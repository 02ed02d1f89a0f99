"""The front as drawings: one plane for each pair of objectives, points in pixels, ticks where matplotlib has them.

A point is on the front when none is at least as good in every objective and better in one. With two objectives the
front is a staircase: a line that joins its points would claim mixtures that are not measured. With three or more
the planes are projections, in which the front's points need not lie at the edge, and no line is drawn.
"""

from __future__ import annotations

import math
from itertools import combinations

import attrs

from jvid_training.report.content import Front, Point, ReportObjective

WIDTH, HEIGHT = 560.0, 360.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 36.0, 48.0


@attrs.frozen
class Tick:
    """``at`` in pixels."""

    at: float
    label: str


@attrs.frozen
class Dot:
    """A point in pixels; ``title`` is shown on hover."""

    x: float
    y: float
    front: bool
    title: str


@attrs.frozen
class Plane:
    """A drawing of ``WIDTH`` x ``HEIGHT`` pixels."""

    across: ReportObjective
    up: ReportObjective
    dots: tuple[Dot, ...]
    stairs: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def planes(front: Front) -> list[Plane]:
    """A plane for every two objectives; points that lack a finite value of one are left out of it."""
    return [
        plane
        for across, up in combinations(range(len(front.objectives)), 2)
        if (plane := _plane(front, across, up)) is not None
    ]


def _plane(front: Front, across: int, up: int) -> Plane | None:
    points = [p for p in front.points if all(math.isfinite(p.values[axis]) for axis in (across, up))]
    if not points:
        return None
    x = _Axis.of([p.values[across] for p in points], LEFT, WIDTH - RIGHT)
    y = _Axis.of([p.values[up] for p in points], HEIGHT - BOTTOM, TOP)
    dots = [
        Dot(round(x(p.values[across]), 1), round(y(p.values[up]), 1), p.front, _title(front, p))
        for p in points
    ]
    # What is drawn last lies on top.
    ordered = tuple(sorted(dots, key=lambda dot: (dot.front, dot.x, dot.y)))
    only_two = len(front.objectives) == 2
    stairs = _stairs([dot for dot in ordered if dot.front], front.objectives[across]) if only_two else ""
    return Plane(front.objectives[across], front.objectives[up], ordered, stairs, x.ticks(), y.ticks())


def _title(front: Front, point: Point) -> str:
    values = zip(front.objectives, point.values, strict=True)
    lines = [f"{objective.name} {value:.4g}" for objective, value in values]
    return "\n".join([point.name, *lines, *([point.words] if point.words else [])])


def _stairs(dots: list[Dot], across: ReportObjective) -> str:
    """The edge of what the front's points beat, as an SVG path."""
    if len(dots) < 2:
        return ""
    path = f"M{dots[0].x:g} {dots[0].y:g}"
    # For a bound on x between two neighbours, the best of those that keep it: the left one where lower is better.
    for dot in dots[1:]:
        path += f"H{dot.x:g}V{dot.y:g}" if across.better == "lower" else f"V{dot.y:g}H{dot.x:g}"
    return path


@attrs.frozen
class _Axis:
    low: float
    high: float
    start: float
    stop: float

    @classmethod
    def of(cls, values: list[float], start: float, stop: float) -> _Axis:
        low, high = min(values), max(values)
        room = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
        return cls(low - room, high + room, start, stop)

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self) -> tuple[Tick, ...]:
        from matplotlib.ticker import MaxNLocator

        places = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        inside = [float(place) for place in places if self.low <= place <= self.high]
        return tuple(Tick(round(self(place), 1), f"{place:.6g}") for place in inside)
