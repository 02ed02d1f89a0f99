"""The picture of a front: which figures are its axes, and when there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jvid.errors import InputError
from jvid_training.search.plot import drawable, plot_front


def point(number: int, values: list[float], figures: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "number": number, "known": f"row {number}", "front": number == 0, "values": values, "figures": figures or {},
        "clips": 4, "cost": 0.5 + number, "seconds": None,
    }  # fmt: skip


def found(names: list[tuple[str, str]], points: list[dict[str, Any]]) -> dict[str, Any]:
    objectives = [{"name": name, "better": better, "label": f"{name} of clips"} for name, better in names]
    return {"study": "toy", "num": 4, "seed": 0, "objectives": objectives, "points": points}


NAMES = [("cost", "lower"), ("attributes", "higher"), ("motion-error", "lower")]


def test_a_study_without_fvd_shows_its_first_two_objectives(tmp_path: Path) -> None:
    front = found(NAMES, [point(0, [0.5, 0.9, 3.0]), point(1, [1.5, 0.8, 5.0])])
    assert drawable(front)
    text = plot_front(front, tmp_path / "front.svg").read_text(encoding="utf-8")
    for label in (
        "attributes of clips, higher is better", "motion-error of clips, lower is better",
        "better attributes of clips (right)",
    ):  # fmt: skip
        assert f"<!-- {label}" in text or label in text, label


def test_fvd_and_the_frame_distance_are_the_axes_where_both_are_known(tmp_path: Path) -> None:
    figures = {
        name: {"value": 2.0, "low": None, "high": None, "better": "lower", "note": ""}
        for name in ("FVD[i3d]", "FID[net]")
    }
    front = found(NAMES, [point(0, [0.5, 0.9, 3.0], figures), point(1, [1.5, 0.8, 5.0], figures)])
    text = plot_front(front, tmp_path / "front.svg").read_text(encoding="utf-8")
    assert "FVD[i3d], lower is better" in text
    assert "attributes" not in text


@pytest.mark.parametrize(
    "front",
    [found(NAMES[:2], [point(0, [0.5, 0.9])]), found(NAMES, []), {"study": "toy", "points": [point(0, [])]}],
    ids=["one objective", "no trials", "no objectives"],
)
def test_a_front_without_two_figures_has_no_picture(front: dict[str, Any], tmp_path: Path) -> None:
    assert not drawable(front)
    with pytest.raises(InputError, match="nothing to plot") as caught:
        plot_front(front, tmp_path / "front.png")
    assert "\n" not in str(caught.value)
