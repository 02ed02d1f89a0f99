"""Figure 3 of the paper for a plan: P_V over progress, with the choices that were drawn.

Above, the probability of the first expert (for ``PiecewiseAffine`` with t_v, t_e, p_e and p_f
marked); below, one tick a step in the colour of the expert that predicts, at the step's progress.
A blended step's tick is divided by weight.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.media.files import check_path, whole_file
from jvid.selectors import PiecewiseAffine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jvid.plan import Plan

__all__ = ["plan_figure", "plot_plan"]

# Okabe and Ito's colours: told apart by colour-blind readers as well.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_ENDINGS = (".png", ".svg", ".pdf")


def plot_plan(plan: Plan, path: str | Path) -> Path:
    """Draw a plan into a png, svg or pdf file, whichever the ending of ``path`` names.

    Returns:
        The path that was written.

    Raises:
        InputError: another ending, or a folder that is not there or cannot be written to.
    """
    path = check_path(path, _ENDINGS)
    with whole_file(path) as part:
        plan_figure(plan).savefig(part, format=path.suffix.lower()[1:], dpi=160)
    return path


def plan_figure(plan: Plan) -> Figure:
    """The figure itself, to change or to show in a notebook."""
    # The Figure class alone: pyplot would pick a window system and keep the figure.
    from matplotlib.figure import Figure

    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(plan.experts)}
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    curve, ticks = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    _draw_curve(curve, plan, colours)
    _draw_ticks(ticks, plan, colours)
    figure.suptitle(plan.summary(), fontsize=11)
    return figure


def _draw_curve(axes: Axes, plan: Plan, colours: dict[str, str]) -> None:
    named = plan.selector.get("experts") or plan.experts
    first = named[0]
    affine = _affine(plan)
    axes.set_ylim(-0.03, 1.06)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    axes.set_ylabel(f"P({first})")
    axes.spines[["top", "right"]].set_visible(False)
    style: dict[str, Any] = {"color": colours[first], "linewidth": 2.2, "solid_capstyle": "round"}
    guide: dict[str, Any] = {"color": "0.6", "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 0}
    if affine is not None:
        knots = [(0.0, 1.0), (affine.t_v, 1.0), (affine.t_e, affine.p_e)]
        if affine.t_e < 1.0:
            knots.append((1.0, affine.p_f))
        across, up = [at for at, _ in knots], [height for _, height in knots]
        axes.plot(across, up, **style)
        axes.fill_between(across, up, color=colours[first], alpha=0.10, linewidth=0)
        _mark(axes, affine, {"color": colours[first], "markersize": 6, "clip_on": False}, guide)
    elif plan.probabilities is not None:
        axes.plot([step.progress for step in plan.steps], plan.probabilities, **style)
    else:
        axes.step([step.progress for step in plan.steps], [s.weights.get(first, 0.0) for s in plan.steps],
                  where="post", **style)  # fmt: skip
        axes.set_ylabel(f"weight of {first}")


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


def _draw_ticks(axes: Axes, plan: Plan, colours: dict[str, str]) -> None:
    for step in plan.steps:
        bottom = 0.0
        for name, weight in step.weights.items():
            axes.plot(
                [step.progress] * 2, [bottom, bottom + weight],
                color=colours[name], linewidth=3.2, solid_capstyle="butt",
            )  # fmt: skip
            bottom += weight
    handles = [axes.plot([], [], color=colour, linewidth=5, label=f"{name}, {plan.counts[name]} steps")[0]
               for name, colour in colours.items()]  # fmt: skip
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([])
    axes.set_ylabel("drawn", rotation=0, ha="right", va="center")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("progress  $u = 1 - t$   (0 pure noise, 1 clean)")
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


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
