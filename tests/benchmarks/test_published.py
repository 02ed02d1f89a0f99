"""The page of the census, and the list of the classes that it found equal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.published import page, tiny
from benchmarks.published.census import Finding, equal_classes
from benchmarks.published.page import PAGE, findings_of, markdown
from jvid_models.adapters.pipelines.compared import COMPARED

ROWS = re.findall(
    r"^\| ([\w:.-]+) \| (equal|refused|differs|not built) \|", PAGE.read_text(encoding="utf-8"), re.M
)


def test_the_page_has_each_class_and_variant() -> None:
    assert {name for name, _ in ROWS} == set(tiny.variants()) | set(tiny.missing())


def test_the_compared_classes_are_the_equal_ones_of_the_page() -> None:
    assert equal_classes(Finding(*row) for row in ROWS) == COMPARED


def test_a_class_is_equal_with_all_of_its_variants() -> None:
    rows = [Finding("A", "equal"), Finding("A:2", "refused"), Finding("B", "equal"), Finding("C", "differs")]
    assert equal_classes(rows) == {"B"}


def test_rows_of_single_classes_are_written_among_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [
        Finding("A", "equal", "", 3e-07, 0.2, 0.5, "re-entry", 30.0),
        Finding("B:2", "refused", "it is a | b"),
        Finding("C", "not built", "needs cv2"),
    ]
    rows = "| Wan | 2.1 M | 18 ms | 46 ms | 1.4 s |"
    text = markdown(own, rows)
    assert sorted(findings_of(text), key=lambda each: each.name) == own
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    page.PAGE.write_text(text, encoding="utf-8")
    other = Finding("B:2", "equal", "", 1e-06, 0.1, None, "thread", 9.0)
    page.write([other])
    assert page.PAGE.read_text(encoding="utf-8") == markdown([own[0], other, own[2]], rows)
