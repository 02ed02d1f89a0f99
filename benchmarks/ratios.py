"""Two sides of a claim, measured in turn in one run: the machine's moods meet both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["claim", "interleaved", "threads", "verdict"]


def verdict(ratio: float | None, must: float | None, aim: float | None = None, *, least: bool = True) -> str:
    """``aim met``, ``met`` (the must) or ``MISSED``; nothing without a bound.

    ``least``: the ratio is to be at least that (a speed-up), or else at most (a part of a cost). A ratio of None could
    not be had at all.
    """
    if must is None:
        return ""
    if ratio is None:
        return "MISSED"

    def reaches(bound: float) -> bool:
        return ratio >= bound if least else ratio <= bound

    if not reaches(must):
        return "MISSED"
    return "aim met" if aim is not None and reaches(aim) else "met"


def claim(
    benchmark: Any,
    stock: str,
    ours: str,
    ratio: float | None,
    must: float | None = None,
    aim: float | None = None,
    *,
    least: bool = True,
    remarks: str = "",
    figure: str = "",
) -> None:
    """Note a row of the table: both sides, and whether their ratio is what it must be; one benchmark may have several.

    ``least`` as in ``verdict``; ``figure`` is the row's name, that of the benchmark if there is none.
    """
    reached = verdict(ratio, must, aim, least=least)
    sign = "≥" if least else "≤"
    must_text, aim_text = ("" if bound is None else f"{sign} {bound:g}" for bound in (must, aim))
    benchmark.extra_info.setdefault("claims", []).append(
        {
            "figure": figure, "stock": stock, "ours": ours, "ratio": _short(ratio),
            "must": must_text, "aim": aim_text, "reached": reached, "remarks": remarks,
        }
    )  # fmt: skip


def _short(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


def interleaved(
    sides: Mapping[str, Callable[[], object]],
    rounds: int = 5,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """The median seconds of each side over ``rounds`` rounds, in each of which every side runs once.

    ``clock``: `time.process_time` counts what this process alone used, of all its threads together.
    """
    for _ in range(warmup):
        for run in sides.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(rounds):
        # The order alternates, so that no side always runs on warm caches.
        for name in names if turn % 2 == 0 else reversed(names):
            started = clock()
            sides[name]()
            seconds[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


@contextmanager
def threads(count: int) -> Iterator[str]:
    """Torch computes with so many threads; gives their number as a remark has it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield f"{count} thread{'s' * (count > 1)}"
    finally:
        torch.set_num_threads(before)
