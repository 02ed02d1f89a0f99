"""The page of the census, and the list of the classes that it found equal."""

from __future__ import annotations

import re

from benchmarks.published import tiny
from benchmarks.published.census import Finding, equal_classes
from benchmarks.published.page import PAGE
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
