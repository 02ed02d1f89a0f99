"""What is kept from one evaluation of a run to the next: the encoders' answers, the states of caches, and a loop that waits.

A run goes down in time. Where time does not fall, another run begins: its caches are empty, and where time rises its prompts and
pictures are encoded anew, by encoders that may have been edited since. A run of a sampler has a scope: what is kept for it is no
other run's, and no other expert's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.core.scope import current_scope
from jvid.denoisers.memo import Memo
from jvid_models.adapters.pipelines.answers import Answers
from jvid_models.adapters.pipelines.caches import CacheStates
from jvid_models.adapters.pipelines.stream import Waiting

__all__ = ["KeptOfRun", "KeptOfRuns", "Place"]

_MOST = 1 << 20
"""Runs and conditions that live at one time: each entry ends with its own."""

Place = tuple[tuple[int, ...], int]
"""The shape of latents, and which row of a batch they are where rows are evaluated one by one."""


class KeptOfRun:
    """Kept for one condition, of one run at a time.

    Args:
        make: the answers of a run that begins.
        answers: those of this one, where some are there already.
    """

    def __init__(self, make: Callable[[], Answers], answers: Answers | None = None) -> None:
        self._make = make
        self._time = math.inf
        self._latents: tuple[Tensor | None] | None = None
        self.answers = make() if answers is None else answers
        self.caches, self.waiting = CacheStates(), Waiting()

    def at(self, time: float) -> KeptOfRun:
        """For an evaluation at a time in [0, 1]; a new one where that does not follow the last one's."""
        if time > self._time:
            self.answers, self._latents = self._make(), None
        if time >= self._time:
            self.caches = CacheStates()
        self._time = time
        return self

    def latents(self, make: Callable[[Answers], Tensor | None]) -> Tensor | None:
        """The latents that the pipeline keeps for itself in this run; ``make``: of its answers."""
        if self._latents is None:
            self._latents = (make(self.answers),)
        return self._latents[0]


@attrs.frozen(eq=False)
class KeptOfRuns:
    """What the runs of one denoiser keep, each as long as the run and its condition live."""

    _runs: Memo[dict[Place, KeptOfRun]] = attrs.field(init=False, factory=lambda: Memo(_MOST), repr=False)
    _begun: Memo[dict[Place, Answers]] = attrs.field(init=False, factory=lambda: Memo(_MOST), repr=False)

    def begin(self, cond: Condition, place: Place, answers: Answers) -> None:
        """Let the next run under a condition have these answers, which hold what was drawn for its first latents."""
        self._run(cond, None).pop(place, None)
        self._begun({"prompt": cond.get("prompt")}, dict)[place] = answers

    def of(self, cond: Condition, place: Place, make: Callable[[], Answers]) -> KeptOfRun:
        """What the run at hand keeps."""
        run = self._run(cond, current_scope())
        if place not in run:
            begun = self._begun({"prompt": cond.get("prompt")}, dict).pop(place, None)
            run[place] = KeptOfRun(make, begun)
        return run[place]

    def _run(self, cond: Condition, scope: object) -> dict[Place, KeptOfRun]:
        return self._runs({"prompt": cond.get("prompt"), "run": scope}, dict)
