"""Two sides of a claim, measured in turn in one run: the machine's moods meet both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["claim", "interleaved"]


def claim(
    benchmark: Any,
    stock: str,
    ours: str,
    ratio: float,
    must: float,
    aim: float,
    *,
    least: bool = True,
    remarks: str = "",
) -> None:
    """Note a figure for the table of ratios: both sides, and whether it is what it must be.

    ``least``: the ratio is to be at least ``must`` (a speed-up), or else at most (a part of a cost).
    """
    reached = ratio >= must if least else ratio <= must
    benchmark.extra_info["claim"] = {
        "must": f"{must:g}", "aim": f"{aim:g}", "stock": stock, "ours": ours,
        "ratio": f"{ratio:.2f}" + ("" if reached else " MISSED"), "remarks": remarks,
    }  # fmt: skip


def interleaved(
    sides: Mapping[str, Callable[[], object]], rounds: int = 5, warmup: int = 1
) -> dict[str, float]:
    """The median seconds of each side over ``rounds`` rounds, in each of which every side runs once."""
    for _ in range(warmup):
        for run in sides.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(rounds):
        # The order alternates, so that nobody always runs on warm caches.
        for name in names if turn % 2 == 0 else reversed(names):
            begun = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}
