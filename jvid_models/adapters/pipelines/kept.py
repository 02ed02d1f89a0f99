"""What is kept from one evaluation of a run to the next: the encoders' answers, and the states of caches in networks.

A run goes down in time. Where time does not fall, another run begins: its caches are empty, and where time rises its prompts and
pictures are encoded anew, by encoders that may have been edited since.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jvid_models.adapters.pipelines.answers import Answers
from jvid_models.adapters.pipelines.caches import CacheStates

__all__ = ["KeptOfRun"]


class KeptOfRun:
    """Kept for one condition, of one run at a time.

    Args:
        answers: makes those of a run that begins.
    """

    def __init__(self, answers: Callable[[], Answers]) -> None:
        self._answers = answers
        self._time = math.inf
        self.answers, self.caches = answers(), CacheStates()

    def at(self, time: float) -> KeptOfRun:
        """For an evaluation at a time in [0, 1]; a new one where that does not follow the last one's."""
        if time > self._time:
            self.answers = self._answers()
        if time >= self._time:
            self.caches = CacheStates()
        self._time = time
        return self
