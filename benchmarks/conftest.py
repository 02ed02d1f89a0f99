"""``--pair``, and one short table at the end in place of pytest-benchmark's statistics."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

PAIR = Path(__file__).parents[1] / "jvid_models" / "actions_64" / "pair.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which pair is sampled."""
    parser.addoption(
        "--pair", default="", help="pair to sample with: a name or a folder (default: actions-64)"
    )


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> str:
    """The pair's name; skips where the bundled one is meant and is not there."""
    chosen: str = request.config.getoption("--pair") or "actions-64"
    if chosen == "actions-64" and not PAIR.is_file():
        pytest.skip(
            "the weights of actions-64 are not in this checkout: name another pair, make bench PAIR=FOLDER"
        )
    return chosen


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Markdown tables, as docs/performance.md holds them: a row a benchmark, and the ratios that are claimed."""
    session = getattr(config, "_benchmarksession", None)
    found = [] if session is None else [bench for bench in session.benchmarks if bench.stats.data]
    plain = [_row(bench) for bench in found if "claim" not in bench.extra_info]
    claims = [
        (_name(bench), *bench.extra_info["claim"].values()) for bench in found if "claim" in bench.extra_info
    ]
    if plain:
        terminalreporter.section(f"seconds (median), peak memory; {_machine()}")
        _table(terminalreporter, [("benchmark", "seconds", "memory, GB", "at most", "remarks"), *plain])
    if claims:
        terminalreporter.section(f"ratios, both sides in one run; {_machine()}")
        _table(terminalreporter, [("figure", "must", "aim", "stock", "ours", "ratio", "remarks"), *claims])


def _table(terminalreporter: pytest.TerminalReporter, rows: list[tuple[str, ...]]) -> None:
    lines = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(rows[0]))]
    for line in lines:
        cells = (
            cell.ljust(width, "-" if cell == "---" else " ") for cell, width in zip(line, widths, strict=True)
        )
        terminalreporter.write_line(f"| {' | '.join(cells)} |")


def _name(bench: object) -> str:
    return bench.name.removeprefix("test_")


def _row(bench: object) -> tuple[str, ...]:
    info = dict(bench.extra_info)
    seconds, memory = bench.stats.median, info.pop("gigabytes", None)
    most = [info.pop("most seconds", None), info.pop("most gigabytes", None)]
    bounds = [f"{bound:g} {unit}" for bound, unit in zip(most, ("s", "GB"), strict=True) if bound is not None]
    over = any(
        bound is not None and value > bound for value, bound in zip((seconds, memory), most, strict=True)
    )
    remarks = [f"{key} {value}" for key, value in info.items()] + ["OVER ITS BOUND"] * over
    shown = "" if memory is None else f"{memory:.2f}"
    return _name(bench), f"{seconds:.2f}", shown, ", ".join(bounds), "; ".join(remarks)


def _machine() -> str:
    import os

    import torch

    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, torch {torch.__version__}"
