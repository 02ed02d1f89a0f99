"""``--ensemble``, ``--page``, and one table at the end in place of pytest-benchmark's statistics."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

import pytest

from benchmarks import tables

FOLDER = Path(__file__).parents[1] / "jvid_models" / "actions_64"
MARK = "bench"
_BEGUN = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which ensemble is sampled, and where the table goes."""
    parser.addoption(
        "--ensemble", "--pair", default="", help="to sample with: a name or a folder (default: actions-64)"
    )
    parser.addoption(
        "--page",
        type=Path,
        default=None,
        help=f"write the table too, between the marks <!-- {MARK} --> of a page",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Note the time; a page that cannot take the table is an error before anything is measured."""
    config.stash[_BEGUN] = time.perf_counter()
    page: Path | None = config.getoption("--page")
    if page is not None:
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        if not 0 <= text.find(f"<!-- {MARK} -->") < text.find(f"<!-- end of {MARK} -->"):
            raise pytest.UsageError(
                f"--page {page}: expected a page that holds <!-- {MARK} --> and <!-- end of {MARK} -->"
            )


@pytest.fixture
def ensemble(request: pytest.FixtureRequest) -> str:
    """The ensemble's name; skips where the bundled one is meant and is not there."""
    chosen: str = request.config.getoption("--ensemble") or "actions-64"
    if chosen == "actions-64" and not any(FOLDER.glob("*.safetensors")):
        pytest.skip(
            "the weights of actions-64 are not in this checkout: name another ensemble, make bench ENSEMBLE=FOLDER"
        )
    return chosen


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table as docs/performance.md holds it, what was reached, and how long it took."""
    session = getattr(config, "_benchmarksession", None)
    found = tables.rows(
        bench for bench in (session.benchmarks if session is not None else ()) if bench.stats.data
    )
    if not found:
        return
    minutes, seconds = divmod(round(time.perf_counter() - config.stash[_BEGUN]), 60)
    lines = [
        f"{date.today():%d %B %Y}, {tables.machine()}; {minutes} min {seconds} s.",
        "",
        *tables.markdown(found),
        "",
        tables.tally(found),
    ]
    terminalreporter.section("benchmarks")
    for line in lines:
        terminalreporter.write_line(line)
    page: Path | None = config.getoption("--page")
    if page is not None:
        from benchmarks.orders import paste

        paste(page, MARK, "\n".join(lines))
