"""A process that imports torch and ends: as Python does it, and as commands that end soon do it (`jvid.cli.imports`)."""

from __future__ import annotations

import sys
from statistics import median

from benchmarks.measured import measured
from benchmarks.ratios import claim

SIDES = {
    "collected": "import torch",
    "set aside": "from jvid.cli.imports import import_torch, own_process; own_process(); import_torch()",
}


def test_torch_without_collections(benchmark):
    found: dict[str, list[float]] = {name: [] for name in SIDES}

    def both() -> None:
        for name, code in SIDES.items():
            found[name].append(measured(sys.executable, "-c", code)["seconds"])

    benchmark.pedantic(both, rounds=7, warmup_rounds=1)
    stock, ours = (median(seconds[1:]) for seconds in found.values())
    claim(
        benchmark, f"{stock:.2f} s", f"{ours:.2f} s", stock / ours, 1.1, figure="a process that imports torch"
    )
