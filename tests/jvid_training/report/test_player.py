"""The player of a report page, in a browser."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.jvid_training.report.test_report import BROWSER, Page

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine: the page is not opened")
def test_a_frame_that_began_before_play_does_not_go_back(tmp_path: Path) -> None:
    """A busy browser hands the first callback a time before the call of play()."""
    page = (ROOT / "docs/results/report.html").read_text(encoding="utf-8")
    page = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page
    )  # it refuses scripts but its own
    early = "<script>window.requestAnimationFrame = (tick) => setTimeout(() => tick(0), 10);</script>"
    (tmp_path / "page.html").write_text(page.replace("<head>", f"<head>{early}", 1), encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--virtual-time-budget=20000",
    ]
    shown = subprocess.run(
        [str(BROWSER), *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True,
    )  # fmt: skip
    assert early in shown.stdout
    assert Page(shown.stdout).all("html")[0]["data-frame"] == "0"
