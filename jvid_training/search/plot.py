"""The front as a picture: the clip figure over the frame figure, and over the cost.

Points of the front are large, beaten ones pale; the known points, by name on the right, have rings. Numbers are the trials'.
FVD's axis is logarithmic, since one strategy that is far off would press all others together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError
from jvid.files import whole_file
from jvid.media.files import PLOTS, listed
from jvid_training.search.labels import number_points
from jvid_training.search.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_front"]

AXES = ("clip", "frame")


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
    points = [(point, Scores.from_dict(_scored(point))) for point in found["points"]]
    shown = [
        (point, scores, [known[1].value for known in places if known])
        for point, scores in points
        if all(places := [scores.find(kind) for kind in AXES])
    ]
    if not shown:
        raise InputError("nothing to plot: no trial has both a clip figure and a frame figure")
    names = [shown[0][1].find(kind)[0] for kind in AXES]  # type: ignore[index]
    chosen = [point for point, _, _ in shown]
    clips, frames = ([values[axis] for _, _, values in shown] for axis in (0, 1))
    costs = [scores.cost or 0.0 for _, scores, _ in shown]
    figure = Figure(figsize=(11.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    left, right, key = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.62))
    right.sharey(left)
    left.set(xlabel=f"{names[1]}, lower is better", ylabel=f"{names[0]}, lower is better", yscale="log")
    right.set(xlabel=f"network cost, 50-step {found.get('unit', 'video')} model = 1", xscale="log")
    for axes, across, colour in ((left, frames, costs), (right, costs, frames)):
        _draw(axes, chosen, across, clips, colour)
        axes.tick_params(which="both", labelsize=8)
        axes.grid(alpha=0.25, which="both")
    for axis in (left.yaxis, right.xaxis):  # whole numbers, not powers of ten
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(ScalarFormatter())
    right.tick_params(which="both", labelleft=False)
    _name(key, [point for point in chosen if point["known"]])
    figure.suptitle(
        f"{found['study']}: {len(shown)} strategies of {found['num']} clips, seeds from {found['seed']}; "
        "darker: cheaper (left), better by frames (right)",
        fontsize=10,
    )
    numbers = [str(point["number"]) if point["known"] or point["front"] else "" for point in chosen]
    number_points(left, numbers, list(zip(frames, clips, strict=True)))
    number_points(right, numbers, list(zip(costs, clips, strict=True)))
    with whole_file(path) as part:
        figure.savefig(part, dpi=120)
    return path


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
