"""Progress where standard error is no terminal: lines there, no bar, nothing on standard output."""

from __future__ import annotations

import pytest

from jvid.cli import progress
from jvid.cli.progress import counting_bar, progress_bar


def test_lines_take_the_place_of_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("clips") as bar:
        bar.update(1.4, 3, "a [bold] name", figures="2 clips/s")
        bar.line("1/3 clips [of a] long " + "x" * 200)
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"1/3 clips [of a] long {'x' * 200}\n")


def test_a_line_a_minute_takes_the_place_of_a_bar_that_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with counting_bar("clips") as advance:
        for done in range(1, 9):
            now = 20.0 * done
            advance(done, 8, f"clip {done}")
    assert capsys.readouterr().err == "3/8 clips\n6/8 clips\n"
