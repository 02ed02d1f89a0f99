"""What the benchmarks found, as one Markdown table: stock beside ours where there are two sides, bounds, and whether they hold.

A benchmark describes itself in its ``extra_info``: by ``ratios.claim``, or, where there is one side only, by its own median and
the keys ``gigabytes``, ``most seconds`` and ``most gigabytes``; other keys are remarks.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.ratios import verdict

__all__ = ["HEAD", "machine", "markdown", "rows", "tally"]

HEAD = ("figure", "stock", "ours", "ratio", "must", "aim", "reached", "remarks")
_REACHED = HEAD.index("reached")

Row = tuple[str, ...]


def rows(benchmarks: Iterable[Any]) -> list[Row]:
    """A row for each claim, and one for each benchmark that makes none; cells as in ``HEAD``."""
    found: list[Row] = []
    for bench in benchmarks:
        name = bench.name.removeprefix("test_")
        claims = bench.extra_info.get("claims")
        if claims is None:
            found.append(_plain(name, bench.stats.median, dict(bench.extra_info)))
        else:
            found += [
                tuple((claim | {"figure": claim["figure"] or name})[key] for key in HEAD) for claim in claims
            ]
    return found


def _plain(name: str, seconds: float, info: dict[str, Any]) -> Row:
    found = {"s": seconds, "GB": info.pop("gigabytes", None)}
    most = {"s": info.pop("most seconds", None), "GB": info.pop("most gigabytes", None)}
    ours = ", ".join(f"{value:.2f} {unit}" for unit, value in found.items() if value is not None)
    bounds = ", ".join(f"{bound:g} {unit}" for unit, bound in most.items() if bound is not None)
    verdicts = {verdict(found[unit], bound, least=False) for unit, bound in most.items()} - {""}
    reached = min(verdicts, default="")  # MISSED is before met
    remarks = "; ".join(f"{key} {value}" for key, value in info.items())
    return name, "", ours, "", f"≤ {bounds}" if bounds else "", "", reached, remarks


def tally(found: Iterable[Row]) -> str:
    """How many figures reach their aim, how many what they must alone, and which do neither."""
    claims = [(row[0], row[_REACHED]) for row in found]
    met = {word: sum(reached == word for _, reached in claims) for word in ("aim met", "met")}
    missed = [name for name, reached in claims if reached == "MISSED"]
    return (
        f"{met['aim met']} figures reach their aim, {met['met']} what they must, {len(missed)} neither"
        + (f": {'; '.join(missed)}" if missed else "")
        + "."
    )


def markdown(found: Sequence[Row], head: Row = HEAD) -> list[str]:
    """The lines of a table whose columns are aligned."""
    lines = [head, ("",) * len(head), *found]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    padded[1] = ["-" * max(width, 3) for width in widths]
    return [f"| {' | '.join(cells)} |" for cells in padded]


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Cores, processor, and the versions that matter."""
    models = [line.partition(":")[2].strip() for line in _lines(cpuinfo) if line.startswith("model name")]
    name = models[0] if models else platform.processor() or platform.machine()
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "diffusers"))
    return f"{os.cpu_count()} cores of {name}, Python {platform.python_version()}, {packages}"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
