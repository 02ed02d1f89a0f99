"""Two sides of a claim, measured in turn in one run: the machine's moods meet both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["interleaved"]


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
