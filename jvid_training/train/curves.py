"""Loss curves of runs as one picture: what a model card shows of its training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jvid.errors import InputError
from jvid.files import check_file, read_json, whole_file
from jvid.media.files import PLOTS
from jvid_training.train.checkpoints import checkpoints
from jvid_training.train.watch import BANDS, NORM, band_names


def read_curve(folder: Path) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Recipe and logged values of a run, finished or not. Raises `InputError` when there is none."""
    found = [folder / "final" / "run.json", *(path / "state.json" for path in reversed(checkpoints(folder)))]
    for path in found:
        if path.is_file():
            return read_json(path, "what `jvid train` wrote", "train again", _curve)
    raise InputError(f"no run in {folder}: expected the `out` folder of a recipe, after `jvid train`")


def _curve(document: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, float]]]:
    recipe, curve = document["recipe"], document["curve"]
    if not isinstance(recipe, dict) or not isinstance(recipe.get("name"), str):
        raise ValueError("its recipe has no name")
    if not isinstance(curve, list) or not curve:
        raise ValueError("its curve has no steps")
    if not any("loss" in entry for entry in curve if isinstance(entry, dict)):
        raise ValueError("its curve has no losses")
    for entry in curve:  # one whose steps were all left out has no loss
        values = [entry["step"], entry["minutes"], *entry.values()]
        if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
            raise ValueError("its curve holds something else than numbers")
    optimiser = recipe.get("optimiser")
    if not isinstance(optimiser, dict) or type(optimiser.get("clip")) not in (int, float):
        raise ValueError("its recipe has no optimiser.clip")
    return recipe, curve


def plot_curves(folders: Sequence[Path], out: Path) -> None:
    """The curves of runs, a column for each.

    Training loss (thin, with its running mean) and held-out loss over steps; below, where they were logged, the losses by level
    of noise and the gradient's norm.
    """
    check_file(out, PLOTS, parents=True)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    runs = [read_curve(folder) for folder in folders]
    logged = [{name for entry in curve for name in entry} for _, curve in runs]
    rows = [(names, plot) for names, plot in _ROWS if any(names & each for each in logged)]
    figure, axes = plt.subplots(
        len(rows),
        len(runs),
        figsize=(4.2 * len(runs), 3.2 * len(rows)),
        layout="constrained",
        squeeze=False,
    )
    for column, (recipe, curve) in enumerate(runs):
        for (names, plot), axis in zip(rows, axes[:, column], strict=True):
            if not names & logged[column]:
                axis.set_axis_off()
                continue
            plot(axis, recipe, curve)
            axis.set(xlabel="step")
            axis.grid(alpha=0.3, which="both")
    with whole_file(out) as part:
        figure.savefig(part, dpi=110)
    plt.close(figure)


def _plot_losses(axis: Any, recipe: dict[str, Any], curve: list[dict[str, float]]) -> None:
    from matplotlib.ticker import ScalarFormatter

    steps, loss = _series(curve, "loss")
    axis.plot(steps, loss, color="tab:blue", alpha=0.25, linewidth=0.8)
    _plot_mean(axis, steps, loss, color="tab:blue", label="training")
    held = _series(curve, "validation")
    if len(held[0]):
        axis.plot(*held, color="tab:orange", marker=".", label="held-out actor (average)")
    axis.set(yscale="log")
    if loss.max() < 10 * loss.min():  # within a decade: 1.25, not powers of ten
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(ScalarFormatter())
    axis.set_title(f"{recipe['name']}, {curve[-1]['minutes']:.0f} min", fontsize=10)
    axis.legend(fontsize=8)


def _plot_bands(axis: Any, recipe: dict[str, Any], curve: list[dict[str, float]]) -> None:
    from matplotlib import colormaps

    for number, name in enumerate(band_names()):
        steps, loss = _series(curve, name)
        if len(steps):
            colour = colormaps["viridis"](1 - number / BANDS)
            _plot_mean(axis, steps, loss, color=colour, linewidth=1, label=name.partition("/")[2])
    axis.set(yscale="log")
    axis.set_title("training loss by t, 1 is pure noise", fontsize=10)
    axis.legend(fontsize=6, ncols=2)


def _plot_norms(axis: Any, recipe: dict[str, Any], curve: list[dict[str, float]]) -> None:
    steps, norms = _series(curve, NORM)
    axis.plot(steps, norms, color="tab:green", alpha=0.25, linewidth=0.8)
    _plot_mean(axis, steps, norms, color="tab:green")
    title = "norm of the gradient"
    if clip := recipe["optimiser"]["clip"]:
        axis.axhline(clip, color="black", linestyle=":", linewidth=0.8)
        title += ", and where it is clipped"
    axis.set(yscale="log")
    axis.set_title(title, fontsize=10)


_ROWS = (
    (frozenset({"loss"}), _plot_losses),
    (frozenset(band_names()), _plot_bands),
    (frozenset({NORM}), _plot_norms),
)
"""The rows of the picture, by the names that their values are logged under; a run has those of what it logged."""


def _series(curve: list[dict[str, float]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps at which a value was logged, and the values."""
    found = [(entry["step"], entry[name]) for entry in curve if name in entry]
    steps, values = zip(*found, strict=True) if found else ((), ())
    return np.array(steps), np.array(values, float)


def _plot_mean(axis: Any, steps: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """A running mean over a fortieth of the values."""
    width = max(1, len(values) // 40)
    smooth = np.convolve(values, np.ones(width) / width, mode="valid")
    axis.plot(steps[width - 1 :], smooth, **style)
