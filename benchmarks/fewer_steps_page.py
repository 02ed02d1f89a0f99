"""What ``benchmarks.fewer_steps`` measured, as a section of a page and as a figure; no network is run.

A row reaches the base (DDPM at 50 steps) where its figure is no larger: "error" is the geometric mean over clips, "shape" the
larger of |log detail| and |log motion|, each the geometric mean over clips. Costs are given as a share of the base's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.fewer_steps_rows import BASE, EXPERTS, FINE, Case, Row, plan_of
from benchmarks.ratios import verdict
from jvid.files import whole_file
from jvid.plugins.registry import load

FIGURE = "figures/fewer-steps.png"
MUST, AIM = 0.4, 0.25
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999999")


@attrs.frozen
class Point:
    """A row of a case with its cost and its figures."""

    row: Row
    calls: Mapping[str, int] = attrs.field(hash=False)
    seconds: float
    cost: float
    errors: tuple[float, ...]
    detail: float
    motion: float

    @property
    def error(self) -> float:
        """The geometric mean over clips."""
        return _mean(self.errors)

    @property
    def shape(self) -> float:
        """How far detail or motion is from the reference's, as a logarithm."""
        return max(abs(math.log(self.detail)), abs(math.log(self.motion)))


Figure = Callable[[Point], float]
CRITERIA: Mapping[str, tuple[Figure, ...]] = {
    "error": (lambda point: point.error,),
    "error and shape": (lambda point: point.error, lambda point: point.shape),
}


def points_of(known: Mapping[str, Any], case: Case, schedule: Any) -> list[Point]:
    """The rows of a case that were measured, in order; empty if the base was not."""
    found = []
    for row in case.rows:
        if not (clips := _clips(known, case, str(row))):
            continue
        plan, solver = plan_of(case, row, schedule), load("solver", row.solver)
        seconds = plan.price(known["seconds"], solver)
        base = plan_of(case, BASE, schedule).price(known["seconds"], load("solver", BASE.solver))
        detail, motion = (_mean([clip[name] for clip in clips]) for name in ("detail", "motion"))
        errors = tuple(clip["error"] for clip in clips)
        found.append(Point(row, plan.calls(solver), seconds, seconds / base, errors, detail, motion))
    return found if any(point.row == BASE for point in found) else []


def cheapest(points: Sequence[Point], solver: str, criterion: str = "error") -> Point | None:
    """The row of least cost of a solver whose figures are all no larger than the base's; None if none is."""
    base = next(point for point in points if point.row == BASE)
    good = [
        point
        for point in points
        if point.row.solver == solver and all(of(point) <= of(base) for of in CRITERIA[criterion])
    ]
    return min(good, key=lambda point: point.cost, default=None)


def summary(known: Mapping[str, Any], cases: Sequence[Case], schedule: Any) -> str:
    """Markdown: for each case, criterion and solver, the least cost that reaches the base."""
    lines = [
        f"| who predicts | solver | reaches the error | cost, must {MUST}, aim {AIM} | reaches error and shape | cost |",
        "|" + " --- |" * 6,
    ]
    for case in cases:
        points = points_of(known, case, schedule)
        for solver in dict.fromkeys(point.row.solver for point in points):
            if solver == BASE.solver:
                continue
            cells = []
            for criterion in CRITERIA:
                best = cheapest(points, solver, criterion)
                cells += [
                    _told(best),
                    f"{_share(best)} {verdict(best and best.cost, MUST, AIM, least=False)}",
                ]
            lines.append(f"| {case.name} | `{solver}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def curves(known: Mapping[str, Any], cases: Sequence[Case], schedule: Any) -> str:
    """Markdown: every row that was measured."""
    lines = [
        "| who predicts | solver | grid | steps | calls, video + image | cost | error (each clip) | detail | motion |",
        "|" + " --- |" * 9,
    ]
    for case in cases:
        for point in points_of(known, case, schedule):
            each = (
                f" ({', '.join(f'{error:.3f}' for error in point.errors)})" if len(point.errors) > 1 else ""
            )
            calls = " + ".join(str(point.calls[name]) for name in EXPERTS)
            lines.append(
                f"| {case.name} | `{point.row.solver}` | {point.row.grid} | {point.row.steps} | {calls} | {point.cost:.2f} | "
                f"{point.error:.3f}{each} | {point.detail:.2f} | {point.motion:.2f} |"
            )
        for clip in _clips(known, case, "limits"):
            lines.append(
                f"| {case.name} | `{FINE[False].solver}` to `{FINE[True].solver}`, both fine | | | | | {clip['error']:.3f}, "
                f"two samples | {clip['detail']:.2f} | {clip['motion']:.2f} |"
            )
    return "\n".join(lines)


def section(known: Mapping[str, Any], cases: Sequence[Case], schedule: Any) -> str:
    """Markdown: the figure, what reaches the base at what cost, and all rows."""
    video, image = (known["seconds"][name] for name in EXPERTS)
    clips = ", ".join(f"{case.name} {len(_clips(known, case, str(BASE)))}" for case in cases)
    timed = (
        f"A guided call of one clip took {video:.2f} s (video) and {image:.2f} s (image), measured in turn on one thread of a "
        f"busy machine; costs stand on their ratio, {video / image:.2f}. Clips: {clips}."
    )
    picture = f"![Error against network cost, a line for each solver]({FIGURE})"
    tables = [summary(known, cases, schedule), "All rows:", curves(known, cases, schedule)]
    return "\n\n".join([picture, timed, *tables])


def draw(known: Mapping[str, Any], cases: Sequence[Case], schedule: Any, path: Path) -> None:
    """The figure: error over cost, a panel for each case, a line for each solver on its first grid."""
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import FuncFormatter, NullFormatter

    shown = {case.name: points for case in cases if (points := points_of(known, case, schedule))}
    solvers = list(dict.fromkeys(point.row.solver for points in shown.values() for point in points))
    figure = Canvas(figsize=(max(4.0 * len(shown), 6.0), 4.6), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for panel, (name, points) in zip(panels, shown.items(), strict=True):
        base = next(point for point in points if point.row == BASE)
        for solver, colour in zip(solvers, _COLOURS, strict=False):
            mine = [point for point in points if point.row.solver == solver]
            line = sorted((p.cost, p.error) for p in mine if p.row.grid == mine[0].row.grid)
            panel.plot(
                *zip(*line, strict=True), "o-", color=colour, label=solver, markersize=4
            ) if line else None
            others = [(p.cost, p.error) for p in mine if p.row.grid != mine[0].row.grid]
            for cost, error in others:
                panel.plot(cost, error, "x", color=colour, markersize=5)
        panel.axhline(base.error, color="black", linewidth=0.8, linestyle="--")
        top = panel.get_xaxis_transform()
        for at, style, label in ((MUST, "-", "must"), (AIM, ":", "aim")):
            panel.axvline(at, color="grey", linewidth=0.8, linestyle=style)
            panel.text(at * 1.03, 0.98, label, color="grey", va="top", fontsize=8, transform=top)
        panel.text(2.0, base.error, "DDPM, 50 steps", ha="right", va="bottom", fontsize=8)
        panel.set(title=name, xscale="log", yscale="log", xlabel="network cost / that of 50-step DDPM")
        panel.set_xticks([0.1, 0.25, 0.4, 1.0, 2.0])
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
    panels[0].set_ylabel("RMS distance to the fine run, same noise")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(len(solvers), 4 * len(shown)),
        frameon=False,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=100)


def _clips(known: Mapping[str, Any], case: Case, row: str) -> list[Mapping[str, float]]:
    start = f"{case.name} | {row} | "
    return [value for key, value in known.items() if key.startswith(start)]


def _told(point: Point | None) -> str:
    return "not reached" if point is None else f"{point.row.grid}, {point.row.steps} steps"


def _share(point: Point | None) -> str:
    return "" if point is None else f"{point.cost:.2f}"


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(max(value, 1e-12)) for value in values) / len(values))
