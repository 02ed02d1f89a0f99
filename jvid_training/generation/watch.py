"""How far a run is: clips finished and under way, their rate, and the time that is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from jvid_training.generation.spec import GenerationProgress, Spec

__all__ = ["ProgressCallback", "Watch"]

ProgressCallback = Callable[[GenerationProgress], None]


class Watch:
    """Adds up the progress of the processes of a run, and calls back.

    Args:
        spec: of the set.
        missing: batches that the run has to make.
        progress: called after each step.
        alike: processes that are as far as each that reports.
    """

    def __init__(self, spec: Spec, missing: int, progress: ProgressCallback, alike: int = 1) -> None:
        self._spec, self._progress, self._alike = spec, progress, alike
        self._before = self._there = spec.batches - missing
        self._parts: dict[int, float] = {}
        self._start = time.monotonic()
        self._report()

    def step(self, who: int, part: float) -> None:
        """Process ``who`` has done a part, of 1, of the batch at hand."""
        self._parts[who] = part
        self._report()

    def finished(self, who: int, there: int | None = None) -> None:
        """A batch is finished; ``there`` are all that have a file, one more than before if None."""
        self._parts.pop(who, None)
        self._there = self._there + 1 if there is None else there
        self._report()

    def _report(self) -> None:
        spec = self._spec
        done = min(float(spec.batches), self._there + self._alike * sum(self._parts.values()))
        made, seconds = (done - self._before) * spec.batch, time.monotonic() - self._start
        rate = made / seconds if seconds > 0 else 0.0
        left = (spec.batches - done) * spec.batch / rate if rate > 0 else math.inf
        self._progress(GenerationProgress(min(done * spec.batch, float(spec.num)), spec.num, rate, left))
