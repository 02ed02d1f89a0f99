"""Progress where standard error is no terminal: lines there, no bar, nothing on standard output."""

from __future__ import annotations

import pytest

from jvid.cli.progress import progress_bar


def test_lines_take_the_place_of_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("clips") as bar:
        bar.update(1.4, 3, "a [bold] name", figures="2 clips/s")
        bar.line("1/3 clips [of a] long " + "x" * 200)
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"1/3 clips [of a] long {'x' * 200}\n")
