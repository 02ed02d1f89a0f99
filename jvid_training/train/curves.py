"""Loss curves of runs as one picture: what a model card shows of its training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jvid.errors import InputError
from jvid.files import check_file, read_json, whole_file
from jvid.media.files import PLOTS
from jvid_training.train.checkpoints import checkpoints


def read_curve(folder: Path) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Recipe and logged values of a run, finished or not. Raises `InputError` when there is none."""
    found = [folder / "final" / "run.json", *(path / "state.json" for path in reversed(checkpoints(folder)))]
    for path in found:
        if path.is_file():
            return read_json(path, "what `jvid train` wrote", "train again", _curve)
    raise InputError(f"no run in {folder}: expected the `out` folder of a recipe, after `jvid train`")


def _curve(document: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, float]]]:
    return document["recipe"], document["curve"]


def plot_curves(folders: Sequence[Path], out: Path) -> None:
    """Training loss (thin, with its running mean) and held-out loss over steps, a panel for each run."""
    check_file(out, PLOTS, parents=True)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    runs = [read_curve(folder) for folder in folders]
    figure, axes = plt.subplots(
        1, len(runs), figsize=(4.2 * len(runs), 3.2), layout="constrained", squeeze=False
    )
    for axis, (recipe, curve) in zip(axes[0], runs, strict=True):
        steps = np.array([entry["step"] for entry in curve])
        loss = np.array([entry["loss"] for entry in curve])
        axis.plot(steps, loss, color="tab:blue", alpha=0.25, linewidth=0.8)
        width = max(1, len(loss) // 40)
        smooth = np.convolve(loss, np.ones(width) / width, mode="valid")
        axis.plot(steps[width - 1 :], smooth, color="tab:blue", label="training")
        held = [(entry["step"], entry["validation"]) for entry in curve if "validation" in entry]
        if held:
            axis.plot(
                *zip(*held, strict=True), color="tab:orange", marker=".", label="held-out actor (average)"
            )
        axis.set(xlabel="step", yscale="log")
        if loss.max() < 10 * loss.min():  # within a decade: 1.25, not powers of ten
            axis.yaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_minor_formatter(ScalarFormatter())
        axis.set_title(f"{recipe['name']}, {curve[-1]['minutes']:.0f} min", fontsize=10)
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    with whole_file(out) as part:
        figure.savefig(part, dpi=110)
    plt.close(figure)
