"""A page that shows the clips of some rows of a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from jvid.errors import InputError
from jvid_training.report.inputs import read
from jvid_training.report.page import page
from tests.report_tools import Page, toy_study


@pytest.fixture
def study(toys: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_study(tmp_path_factory)


def test_the_clips_of_some_rows_with_the_figures_of_all(study: Path) -> None:
    every, some = read([study], extremes=1), read([study], extremes=1, only=["mixture"])
    assert [bool(row.clips) for row in some.rows] == [row.name == "mixture" for row in every.rows]
    assert [bool(row.highest) for row in some.rows] == [row.name == "mixture" for row in every.rows]
    assert [row.figures for row in some.rows] == [row.figures for row in every.rows]
    assert (some.notes, some.fronts, some.commands) == (every.notes, every.fronts, every.commands)
    assert len(Page(page(some)).all("canvas")) == 2 + 2
    with pytest.raises(InputError, match="row 'mix': expected one of video model, image model, mixture"):
        read([study], only=["mix"])
