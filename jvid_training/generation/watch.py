"""How far a run is: clips finished and under way, their rate, and the time that is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from jvid_training.generation.spec import GenerationProgress, Spec

__all__ = ["Tell", "Watch"]

Tell = Callable[[GenerationProgress], None]


class Watch:
    """Adds up what the processes of a run say, and tells.

    Args:
        spec: of the set.
        missing: batches that the run has to make.
        tell: hears of each step.
        alike: processes that are as far as each that says so.
    """

    def __init__(self, spec: Spec, missing: int, tell: Tell, alike: int = 1) -> None:
        self._spec, self._tell, self._alike = spec, tell, alike
        self._before = self._there = spec.batches - missing
        self._parts: dict[int, float] = {}
        self._begun = time.monotonic()
        self._say()

    def step(self, who: int, part: float) -> None:
        """Process ``who`` has done a part, of 1, of the batch at hand."""
        self._parts[who] = part
        self._say()

    def finished(self, who: int, there: int | None = None) -> None:
        """A batch is finished; ``there`` are all that have a file, one more than before if None."""
        self._parts.pop(who, None)
        self._there = self._there + 1 if there is None else there
        self._say()

    def _say(self) -> None:
        spec = self._spec
        done = min(float(spec.batches), self._there + self._alike * sum(self._parts.values()))
        made, seconds = (done - self._before) * spec.batch, time.monotonic() - self._begun
        rate = made / seconds if seconds > 0 else 0.0
        left = (spec.batches - done) * spec.batch / rate if rate > 0 else math.inf
        self._tell(GenerationProgress(min(done * spec.batch, float(spec.num)), spec.num, rate, left))
