"""Figure 3 of the paper for a plan of any experts: the share of each, and below it which ones predict.

Above, the share of every expert that the selector declares (for ``PiecewiseAffine`` the curve P_V, with t_v, t_e,
p_e and p_f marked), or else the weights that it gave. Below, one tick a step in the colour of the expert that predicts;
a blended step's tick is divided by weight. Both are drawn over progress, and over the steps' numbers where the grid
steps back up: a dotted line is then its progress.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.extras import extra
from jvid.files import check_file, whole_file
from jvid.media.files import PLOTS
from jvid.selectors import PiecewiseAffine
from jvid.views.colours import expert_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jvid.core.plan import Plan

__all__ = ["plan_figure", "plot_plan"]

_LETTERS = 104
"""About as many letters, the handles among them, fit into a row of the legend."""


def plot_plan(plan: Plan, path: str | Path) -> Path:
    """Draw a plan into a file of the format that the ending of ``path`` selects, one of `jvid.media.files.PLOTS`.

    Returns:
        The path that was written.

    Raises:
        InputError: another ending, or a folder that is not there or cannot be written to.
    """
    path = check_file(path, PLOTS)
    with whole_file(path) as part:
        plan_figure(plan).savefig(part, format=path.suffix.lower()[1:], dpi=160)
    return path


def plan_figure(plan: Plan) -> Figure:
    """The figure itself, to change or to show in a notebook."""
    # The Figure class alone: pyplot would pick a window system and keep the figure.
    with extra("media"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    colours = expert_colours(plan.experts)
    rises = any(after.progress <= before.progress for before, after in pairwise(plan.steps))
    at = [float(step.index + 1) if rises else step.progress for step in plan.steps]
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    curve, ticks = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    affine = None if rises else _affine(plan)
    if affine is None:
        _draw_shares(curve, plan, at, colours)
    else:
        _draw_affine(curve, affine, colours[affine.video])
    if rises:
        curve.plot(
            at, [s.progress for s in plan.steps], ":", color="0.45", linewidth=1.3, label="progress $u$"
        )
        ticks.set_xlim(0.0, len(plan) + 1.0)
        ticks.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        ticks.set_xlim(-0.01, 1.01)
    along = "progress  $u = 1 - t$   (0 pure noise, 1 clean)"
    ticks.set_xlabel("step, in the order of the run" if rises else along)
    _draw_ticks(ticks, plan, at, colours)
    _legend(figure, curve, plan, colours)
    figure.suptitle(plan.title(), fontsize=11)
    return figure


def _frame(axes: Axes, label: str) -> None:
    axes.set_ylim(-0.03, 1.06)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_shares(axes: Axes, plan: Plan, at: list[float], colours: dict[str, str]) -> None:
    """A line for each expert that has a share; stairs where shares jump, as from one expert to the next."""
    rows = plan.shares if plan.shares is not None else [step.weights for step in plan.steps]
    _frame(axes, "probability" if plan.is_random else "weight")
    lines = {name: tuple(row.get(name, 0.0) for row in rows) for name in colours}
    lines = {name: line for name, line in lines.items() if any(line)}
    jumps = len(plan) == 1 or any(abs(b - a) > 0.5 for line in lines.values() for a, b in pairwise(line))
    still = all(len(set(line)) == 1 for line in lines.values())
    end = len(plan) + 1.0 if at[0] >= 1.0 else 1.0 - plan.steps[-1].end.t
    for name, line in lines.items():
        # Lines on top of each other are dashed in turn.
        same = [other for other in lines if lines[other] == line]
        dashes = (5.0 * same.index(name), (5.0, 5.0 * (len(same) - 1))) if len(same) > 1 else "-"
        style: dict[str, Any] = {"color": colours[name], "linewidth": 2.0, "linestyle": dashes}
        style["marker"] = "o" if len(plan) == 1 else ""
        if jumps or still:
            # No line at 0, where those of several experts would hide each other.
            up = [height or float("nan") for height in (*line, line[-1])]
            axes.step([*at, end], up, where="post", **style)
            alone = [height if height > 1.0 - 1e-6 else 0.0 for height in (*line, line[-1])]
            axes.fill_between([*at, end], alone, step="post", color=colours[name], alpha=0.12, linewidth=0)
            moves = [(x, a, b) for x, a, b in zip(at[1:], line, line[1:], strict=False) if a != b]
            axes.vlines([x for x, *_ in moves], [a for _, a, _ in moves], [b for *_, b in moves],
                        color=colours[name], linewidth=1.0)  # fmt: skip
        else:
            axes.plot(at, line, **style | {"marker": "o", "markersize": 2.5, "clip_on": False})


def _draw_affine(axes: Axes, affine: PiecewiseAffine, colour: str) -> None:
    _frame(axes, f"P({affine.video})")
    guide: dict[str, Any] = {"color": "0.6", "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 0}
    knots = [(0.0, 1.0), (affine.t_v, 1.0), (affine.t_e, affine.p_e)]
    if affine.t_e < 1.0:
        knots.append((1.0, affine.p_f))
    across, up = [at for at, _ in knots], [height for _, height in knots]
    axes.plot(across, up, color=colour, linewidth=2.2, solid_capstyle="round")
    axes.fill_between(across, up, color=colour, alpha=0.10, linewidth=0)
    _mark(axes, affine, {"color": colour, "markersize": 6, "clip_on": False}, guide)


def _mark(axes: Axes, affine: PiecewiseAffine, dot: dict[str, Any], guide: dict[str, Any]) -> None:
    """t_v and t_e above the axes, p_f right of them, p_e on the side that the curve leaves free."""
    text: dict[str, Any] = {"textcoords": "offset points", "fontsize": 10, "annotation_clip": False}
    near = affine.t_e - affine.t_v < 0.12
    marks = [("$t_v$", affine.t_v, 1.0, "right"), ("$t_e$", affine.t_e, affine.p_e, "left")]
    for label, at, height, side in marks:
        axes.axvline(at, **guide)
        axes.plot([at], [height], "o", **dot)
        axes.annotate(
            f"{label} = {at:g}", (at, 1.0), (0, 3), xycoords=("data", "axes fraction"),
            ha=side if near else "center", va="bottom", **text,
        )  # fmt: skip
    ends = affine.t_e < 1.0
    if ends:
        axes.plot([1.0], [affine.p_f], "o", **dot)
        axes.annotate(f"$p_f$ = {affine.p_f:g}", (1.0, affine.p_f), (9, 0), va="center", **text)
    # The curve comes from above on the left; right of t_e it leaves upwards or not, or there is nothing.
    shift, aligned = ((7, -6), "top") if ends and affine.p_f > affine.p_e else ((7, 5), "bottom")
    axes.annotate(f"$p_e$ = {affine.p_e:g}", (affine.t_e, affine.p_e), shift, va=aligned, **text)


def _draw_ticks(axes: Axes, plan: Plan, at: list[float], colours: dict[str, str]) -> None:
    # As wide as the neighbours allow; without gaps where those would be too fine to be seen.
    low, high = axes.get_xlim()
    gaps = [abs(after - before) for before, after in pairwise(at)]
    near = [min(pair) for pair in zip([high - low, *gaps], [*gaps, high - low], strict=True)]
    part = 0.8 if min(near) * 300 > high - low or min(near) < 0.5 * max(near) else 1.0
    width = [min(max(part * gap, (high - low) / 1000), (high - low) / 100) for gap in near]
    bottoms = [0.0] * len(plan)
    for name, colour in colours.items():
        heights = [step.weights.get(name, 0.0) for step in plan.steps]
        axes.bar(at, heights, width, bottoms, color=colour, antialiased=part < 1.0)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([])
    axes.set_ylabel("predicts", rotation=0, ha="right", va="center")
    axes.spines[["top", "right", "left"]].set_visible(False)


def _legend(figure: Figure, axes: Axes, plan: Plan, colours: dict[str, str]) -> None:
    """Below the axes, in as many columns as fit."""
    labels = {name: f"{name}, {count} step{'s' * (count != 1)}" for name, count in plan.counts.items()}
    handles = [
        axes.plot([], [], color=colours[name], linewidth=5, label=label)[0] for name, label in labels.items()
    ]
    handles += [line for line in axes.lines if line.get_linestyle() == ":"]
    longest = max(len(str(handle.get_label())) for handle in handles) + 6
    columns = min(len(handles), max(1, _LETTERS // longest))
    figure.set_figheight(figure.get_figheight() + 0.2 * (math.ceil(len(handles) / columns) - 1))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)


def _affine(plan: Plan) -> PiecewiseAffine | None:
    """The plan's selector where it is the paper's, from the parameters that the plan keeps."""
    values = dict(plan.selector)
    if values.pop("name", None) != PiecewiseAffine.__name__:
        return None
    values.pop("experts", None)
    try:
        return PiecewiseAffine(**values)
    except TypeError:  # somebody else's class of that name
        return None
