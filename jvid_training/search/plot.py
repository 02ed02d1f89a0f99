"""The front as a picture: the clip figure over the frame figure, and over the cost.

A study without one of them shows its first two objectives beside the cost: the second over the first.
Points of the front are large, beaten ones pale; the known points, by name on the right, have rings. Numbers are the trials'.
FVD's axis is logarithmic, since one strategy that is far off would press all others together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.files import whole_file
from jvid.media.files import PLOTS, listed
from jvid_training.search.labels import number_points
from jvid_training.search.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["drawable", "plot_front"]

AXES = ("clip", "frame")
COST = "cost"
_LONGEST = 40
"""Characters of a label that is shown with its options."""


@attrs.frozen
class Axis:
    """What a direction of the picture shows: its label, and a value for each point."""

    label: str
    better: str
    values: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.label}, {self.better} is better"


def drawable(found: Mapping[str, Any]) -> bool:
    """Whether ``front.json``'s content has points with a place in the picture."""
    return _shown(found) is not None


def plot_front(found: Mapping[str, Any], path: Path) -> Path:
    """Draw ``front.json``'s content into a file of one of `PLOTS`.

    Raises:
        InputError: another ending, or nothing to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    if path.suffix.lower() not in PLOTS:
        raise InputError(f"plot {str(path)!r}: expected {listed(PLOTS)}")
    if (shown := _shown(found)) is None:
        raise InputError(
            "nothing to plot: no trial has both a clip figure and a frame figure, or two objectives beside the cost"
        )
    chosen, up, across = shown
    heights, places = up.values, across.values
    costs = [point["cost"] or 0.0 for point in chosen]
    figure = Figure(figsize=(11.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    left, right, key = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.62))
    right.sharey(left)
    left.set(xlabel=str(across), ylabel=str(up))
    if up.better == "lower" and min(heights) > 0:
        left.set_yscale("log")
    right.set(xlabel=f"network cost, 50-step {found.get('unit', 'video')} model = 1", xscale="log")
    dark = places if across.better == "lower" else [-value for value in places]
    for axes, x, colour in ((left, places, costs), (right, costs, dark)):
        _draw(axes, chosen, x, heights, colour)
        axes.tick_params(which="both", labelsize=8)
        axes.grid(alpha=0.25, which="both")
    for axis in (left.yaxis, right.xaxis):  # whole numbers, not powers of ten
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(ScalarFormatter())
    right.tick_params(which="both", labelleft=False)
    _name(key, [point for point in chosen if point["known"]])
    figure.suptitle(
        f"{found['study']}: {len(chosen)} strategies of {found['num']} clips, seeds from {found['seed']}; "
        f"darker: cheaper (left), better {across.label} (right)",
        fontsize=10,
    )
    numbers = [str(point["number"]) if point["known"] or point["front"] else "" for point in chosen]
    number_points(left, numbers, list(zip(places, heights, strict=True)))
    number_points(right, numbers, list(zip(costs, heights, strict=True)))
    with whole_file(path) as part:
        figure.savefig(part, dpi=120)
    return path


def _shown(found: Mapping[str, Any]) -> tuple[list[Any], Axis, Axis] | None:
    """The points with a value on both axes, and the axes, up and across; None without."""
    points = [(point, Scores.from_dict(_scored(point))) for point in found["points"]]
    both = [(point, [known for known in map(scores.find, AXES) if known]) for point, scores in points]
    if figured := [(point, known) for point, known in both if len(known) == len(AXES)]:
        up, across = (
            Axis(figured[0][1][k][0], "lower", tuple(known[k][1].value for _, known in figured))
            for k in range(len(AXES))
        )
        return [point for point, _ in figured], up, across
    kinds = [(place, each) for place, each in enumerate(found.get("objectives", ())) if each["name"] != COST]
    chosen = [point for point in found["points"] if point.get("values")]
    if len(kinds) < 2 or not chosen:
        return None
    across, up = (
        Axis(_short(each["label"]), each["better"], tuple(point["values"][place] for point in chosen))
        for place, each in kinds[:2]
    )
    return chosen, up, across


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else label.split("[")[0]


def _draw(
    axes: Axes, points: Sequence[Any], x: Sequence[float], y: Sequence[float], colour: Sequence[float]
) -> None:
    for on, size, alpha, edge in ((False, 22, 0.35, "none"), (True, 50, 1.0, "black")):
        part = [i for i, point in enumerate(points) if point["front"] is on]
        axes.scatter(
            [x[i] for i in part],
            [y[i] for i in part],
            c=[colour[i] for i in part],
            s=size,
            alpha=alpha,
            cmap="viridis",
            vmin=min(colour),
            vmax=max(colour),
            edgecolors=edge,
            linewidths=0.6,
        )
    known = [i for i, point in enumerate(points) if point["known"]]
    axes.scatter(
        [x[i] for i in known],
        [y[i] for i in known],
        s=110,
        facecolors="none",
        edgecolors="crimson",
        linewidths=1.0,
    )


def _name(key: Axes, points: Sequence[Any]) -> None:
    """The known points' names, a line each."""
    key.set_axis_off()
    for line, point in enumerate(points):
        place = (0.0, 1.0 - (line + 0.5) / max(len(points), 24))
        key.annotate(f"{point['number']:>3}  {point['known']}", place, xycoords="axes fraction", fontsize=7.5)


def _scored(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: point[name] for name in ("figures", "clips", "cost", "seconds")}
