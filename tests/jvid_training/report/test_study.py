"""The page of a study: its rows, its fronts, and what of it is missing, damaged or of version 0.1."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jvid.errors import InputError
from jvid.plugins.registry import Registry, using
from jvid_training.report.inputs import read
from jvid_training.report.page import page
from jvid_training.report.strips import strip
from jvid_training.report.words import words
from tests.report_tools import (
    Page,
    check_self_contained,
    of_version_0_1,
    set_of_version_0_1,
    toy_study,
)
from tests.search_tools import toy_sweep
from tests.terminals import Terminal
from tests.toy import toy_registry


@pytest.fixture(scope="module", autouse=True)
def _toy() -> Iterator[None]:
    with using(toy_registry()):
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_study(tmp_path_factory)


def test_same_page_for_the_same_content(study: Path) -> None:
    assert page(read([study], clips=2)) == page(read([study], clips=2))


def test_a_study(study: Path) -> None:
    found = json.loads((study / "front.json").read_text())
    table = json.loads((study / "ablation-4-clips-seed-0.json").read_text())
    content = read([study], clips=2, extremes=2)
    assert [row.name for row in content.rows] == ["video model", "image model", "mixture", "+ smoothing"]
    for row, stated in zip(content.rows, table["rows"], strict=True):
        assert {n: f.value for n, f in row.figures.items() if n != "network cost"} == {
            n: f["value"] for n, f in stated["figures"].items()
        }
        assert row.figures["network cost"].value == stated["cost"]
        assert [one.seed for one in row.clips] == [0, 2, 1, 3]
        # toy-frame's features were kept by the evaluation.
        assert row.ranked_by == "agreement[toy-frame]"
        assert len(row.highest) == len(row.lowest) == 2
        assert {one.seed for one in (*row.highest, *row.lowest)} == {0, 1, 2, 3}
    assert content.floors[0].name == "real clips, in halves of 6"
    assert [extra.title for extra in content.extras] == ["grid-steps, 4 clips from seed 0"]
    rows, searched = content.fronts
    assert [point.values for point in searched.points] == [tuple(p["values"]) for p in found["points"]]
    assert [point.front for point in searched.points] == [p["front"] for p in found["points"]]
    assert (rows.title, searched.title) == (
        "the strategies of this page, 4 clips from seed 0", f"the search, 4 clips from seed {found['seed']}",
    )  # fmt: skip
    assert [point.name for point in rows.points] == [row.name for row in content.rows]
    for point, stated in zip(rows.points, table["rows"], strict=True):
        names = [next(n for n in stated["figures"] if n.startswith(kind)) for kind in ("FVD", "FID")]
        assert point.values == (*(stated["figures"][name]["value"] for name in names), stated["cost"])
        others = [p.values for p in rows.points if p is not point]
        assert point.front is not any(
            all(a <= b for a, b in zip(o, point.values, strict=True)) for o in others
        )
    text = page(content)
    check_self_contained(text)
    parsed = Page(text)
    assert len(parsed.all("circle")) == 3 * (len(found["points"]) + len(table["rows"]))
    assert sum("front" in (c["class"] or "") for c in parsed.all("circle")) == 3 * sum(
        p.front for front in content.fronts for p in front.points
    )
    # The table has every point too.
    headings = parsed.text("th")
    assert all(f"trial {p['number']}" in headings for p in found["points"])


def test_a_study_that_was_moved_and_lost_a_set(study: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(study, moved)
    table = json.loads((moved / "ablation-4-clips-seed-0.json").read_text())
    lost = Path(table["rows"][0]["set"]).name
    for row in table["rows"]:
        row["set"] = str(Path("nowhere") / Path(row["set"]).name)
    (moved / "ablation-4-clips-seed-0.json").write_text(json.dumps(table))
    shutil.rmtree(moved / "sets" / lost)
    content = read([moved])
    assert content.notes == ("video model: its clips are not here",)
    assert [len(row.clips) for row in content.rows] == [0, 2, 2, 2]
    assert content.rows[0].figures


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("front.json", r"front\.json (is damaged|is not JSON|holds a JSON list)"),
        (
            "ablation-4-clips-seed-0.json",
            r"ablation-4-clips-seed-0\.json (is damaged|is not JSON|holds a JSON list)",
        ),
    ],
)
@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": 1}', '{"format": 1, "rows": 3, "num": 4, "seed": 0}']
)
def test_broken_json_of_a_study(study: Path, tmp_path: Path, broken: str, message: str, text: str) -> None:
    for name in ("front.json", "ablation-4-clips-seed-0.json"):
        shutil.copy(study / name, tmp_path / name)
    (tmp_path / broken).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read([tmp_path])
    assert "\n" not in str(caught.value)


def test_a_sweep_before_any_row_is_confirmed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, terminal: Terminal
) -> None:
    """There is a front, and there are floors; there are no rows, and no clips."""
    searched = toy_sweep(tmp_path_factory)
    content = read([searched])
    assert (content.rows, [front.title for front in content.fronts]) == (
        (),
        ["the search, 4 clips from seed 0"],
    )
    parsed = Page(page(content))
    assert "real clips, in halves" in parsed.text("th")
    assert any("strategies of a search" in text for text in parsed.text("p"))
    with using(Registry()):
        assert "strategies of a search, 0.0 MB" in terminal.run(
            "report", searched, "-o", tmp_path / "page.html"
        )


def test_a_study_of_version_0_1(study: Path, tmp_path: Path) -> None:
    """Its strategies have guidance, noise and smoothing, its sets a pair, and its costs are the video model's."""
    old = shutil.copytree(study, tmp_path / study.name)
    for path in [*old.glob("*-clips-seed-*.json"), old / "front.json"]:
        values = json.loads(path.read_text())
        del values["unit"]
        for row in [*values.get("rows", ()), *values.get("points", ())]:
            if row.get("strategy"):
                row["strategy"] = of_version_0_1(row["strategy"])
        path.write_text(json.dumps(values))
    for folder in (old / "sets").iterdir():
        set_of_version_0_1(folder)
    new, then = read([study]), read([old])
    assert len(new.rows) == len(then.rows) == 4
    for one, other in zip(new.rows, then.rows, strict=True):
        assert (one.name, one.figures, one.facts) == (other.name, other.figures, other.facts)
        assert words(one.strategy, one.ensemble) == words(other.strategy, other.ensemble)
        assert strip(one.strategy, one.ensemble) == strip(other.strategy, other.ensemble)
        assert [clip.frames.tobytes() for clip in one.clips] == [
            clip.frames.tobytes() for clip in other.clips
        ]
    assert [front.points for front in new.fronts] == [front.points for front in then.fronts]
