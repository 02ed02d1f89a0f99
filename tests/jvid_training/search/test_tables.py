"""``jvid ablation``: tables, and the front of their rows drawn beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jvid_training.search.tables import table_front
from tests.search_tools import Means, Real, call, document, opened, write


@pytest.fixture(autouse=True)
def _toys(toys: None) -> None:
    pass


def row(label: str, clip: float, frame: float | None, cost: float | None) -> dict[str, Any]:
    figures = {"FVD[toy, 4 clips]": clip} | ({} if frame is None else {"FID[toy, 20 frames]": frame})
    whole = {name: {"value": value, "low": None, "high": None} for name, value in figures.items()}
    return {
        "label": label,
        "strategy": None,
        "set": "",
        "figures": whole,
        "clips": 4,
        "cost": cost,
        "seconds": 1.0,
    }


def test_a_tables_front_is_of_its_strategies_by_clip_frame_and_cost() -> None:
    rows = [
        row("video AE", 1.0, 1.0, None),
        row("dear", 10.0, 5.0, 0.9),
        row("cheap", 10.0, 5.0, 0.3),
        row("sharp", 12.0, 4.0, 0.9),
        row("worse", 12.0, 6.0, 0.3),
        row("without frames", 1.0, None, 0.1),
    ]
    found = table_front({"study": "toy", "num": 4, "seed": 500, "rows": rows})
    assert (found["study"], found["num"], found["seed"]) == ("toy", 4, 500)
    points = [(point["number"], point["known"], point["front"]) for point in found["points"]]
    assert points == [(1, "dear", False), (2, "cheap", True), (3, "sharp", True), (4, "worse", False)]
    assert found["points"][2]["figures"]["FID[toy, 20 frames]"]["value"] == 4.0


def test_the_command_writes_a_table_and_its_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = {"both": (Means("clip"), Means("frame")), "clip": (Means("clip"),)}
    monkeypatch.setattr("jvid_training.evaluation.sources.real_clips", lambda reference, **options: Real())
    for name, given in networks.items():
        monkeypatch.setattr(
            "jvid_training.search.components.networks_of", lambda networks, given=given: given
        )
        found = document(tmp_path / name)
        opened(found)
        recipe = write(tmp_path, found)
        words = ["--rows", "video model", "--rows", "mixture", "--report-seed"]
        assert call("ablation", recipe, *words) == 0
        table = tmp_path / name / "ablation-4-clips-seed-500.md"
        shown = capsys.readouterr().out
        assert "| video model |" in shown
        assert str(table) in shown
        drawn = table.with_suffix(".png")
        assert drawn.is_file() is (str(drawn) in shown) is (name == "both")
    assert (tmp_path / "both/ablation-4-clips-seed-500.png").read_bytes()[:4] == b"\x89PNG"
