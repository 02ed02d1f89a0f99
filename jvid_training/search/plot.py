"""The front as a picture: the clip figure against the frame figure, cost as colour.

Points of the front are large, beaten ones pale; the known points carry their names, the others of the front their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jvid.errors import InputError
from jvid_training.files import write_whole
from jvid_training.search.judged import Judged

__all__ = ["plot_front"]

AXES = ("clip", "frame")


def plot_front(found: Mapping[str, Any], path: Path) -> Path:
    """Draw ``front.json``'s content into .png or .svg.

    Raises:
        InputError: another ending, or nothing to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix.lower() not in {".png", ".svg"}:
        raise InputError(f"plot {str(path)!r}: expected .png or .svg")
    points = [(point, Judged.from_dict(_judged(point))) for point in found["points"]]
    shown = [
        (point, judged, [known[1].value for known in places if known])
        for point, judged in points
        if all(places := [judged.find(kind) for kind in AXES])
    ]
    if not shown:
        raise InputError("nothing to plot: no trial has both a clip figure and a frame figure")
    names = [shown[0][1].find(kind)[0] for kind in AXES]  # type: ignore[index]
    figure = Figure(figsize=(8.0, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(
        xlabel=f"{names[1]} (frames), lower is better", ylabel=f"{names[0]} (clips), lower is better"
    )
    costs = [judged.cost or 0.0 for _, judged, _ in shown]
    colours = axes.scatter([], [], c=[], cmap="viridis", vmin=min(costs), vmax=max(costs))
    for on, size, alpha, edge in ((False, 22, 0.3, "none"), (True, 62, 1.0, "black")):
        part = [i for i, (point, _, _) in enumerate(shown) if point["front"] is on]
        axes.scatter(
            [shown[i][2][1] for i in part],
            [shown[i][2][0] for i in part],
            c=[costs[i] for i in part],
            s=size,
            alpha=alpha,
            cmap="viridis",
            vmin=min(costs),
            vmax=max(costs),
            edgecolors=edge,
            linewidths=0.6,
        )
    for point, _, (clip, frame) in shown:
        if point["known"]:
            axes.scatter([frame], [clip], s=140, facecolors="none", edgecolors="crimson", linewidths=1.2)
        if point["known"] or point["front"]:
            label = point["known"] or str(point["number"])
            axes.annotate(label, (frame, clip), xytext=(6, 5), textcoords="offset points", fontsize=8)
    figure.colorbar(colours, ax=axes, label="network cost, 50-step video model = 1")
    axes.set_title(
        f"{found['study']}: {len(shown)} strategies of {found['num']} clips, seeds from {found['seed']}",
        fontsize=10,
    )
    axes.grid(alpha=0.25)
    write_whole(path, lambda part: figure.savefig(part, dpi=150))
    return path


def _judged(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: point[name] for name in ("figures", "clips", "cost", "seconds")}
