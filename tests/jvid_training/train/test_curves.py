"""Pictures of curves: runs that logged different values beside each other, and curves with gaps."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from jvid.errors import InputError
from jvid_training.train.curves import _plot_norms, plot_curves
from jvid_training.train.watch import NORM, band_names

LOGGED = {"loss": 0.5, NORM: 2.0, **dict.fromkeys(band_names(), 0.4)}


def run_of(folder: Path, curve: list[dict[str, Any]], clip: float = 1.0) -> Path:
    """The folder of a run that ended with this curve."""
    (folder / "final").mkdir(parents=True)
    entries = [{"step": step, "minutes": 0.1 * step, **values} for step, values in enumerate(curve, 1)]
    recipe = {"name": folder.name, "optimiser": {"clip": clip}}
    (folder / "final/run.json").write_text(json.dumps({"recipe": recipe, "curve": entries}))
    return folder


def test_a_run_beside_one_that_logged_less(tmp_path: Path) -> None:
    whole = run_of(tmp_path / "whole", [LOGGED] * 3)
    earlier = run_of(tmp_path / "earlier", [{"loss": 0.5}] * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_curves([whole, earlier], tmp_path / "both.png")
        plot_curves([earlier], tmp_path / "one.png")
    both, one = (Image.open(tmp_path / f"{name}.png").size for name in ("both", "one"))
    assert both[0] == 2 * one[0]
    assert both[1] == pytest.approx(3 * one[1], abs=2)


def test_an_entry_whose_steps_were_left_out_has_no_loss(tmp_path: Path) -> None:
    plot_curves([run_of(tmp_path / "some", [LOGGED, {}, LOGGED])], tmp_path / "some.png")
    with pytest.raises(InputError, match="its curve has no losses"):
        plot_curves([run_of(tmp_path / "none", [{}, {}])], tmp_path / "none.png")
    with pytest.raises(InputError, match="its curve holds something else than numbers"):
        plot_curves([run_of(tmp_path / "words", [LOGGED, {"loss": "low"}])], tmp_path / "words.png")
    with pytest.raises(InputError, match="its curve holds something else than numbers"):
        plot_curves([run_of(tmp_path / "bands", [LOGGED, LOGGED | {NORM: ""}])], tmp_path / "bands.png")
    with pytest.raises(InputError, match=r"its recipe has no optimiser\.clip"):
        plot_curves([run_of(tmp_path / "clip", [LOGGED], clip="high")], tmp_path / "clip.png")  # type: ignore[arg-type]


@pytest.mark.parametrize(("clip", "line"), [(2.5, [2.5, 2.5]), (0.0, None)])
def test_the_norm_has_a_line_where_it_is_clipped(clip: float, line: list[float] | None) -> None:
    axis = Figure().subplots()
    curve = [{"step": step, NORM: 4.0} for step in range(3)]
    _plot_norms(axis, {"optimiser": {"clip": clip}}, curve)
    horizontal = [list(each.get_ydata()) for each in axis.get_lines()[2:]]
    assert horizontal == ([] if line is None else [line])
    assert ("clipped" in axis.get_title()) == bool(clip)
