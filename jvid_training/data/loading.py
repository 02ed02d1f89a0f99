"""Batches made ahead by worker processes, in torch's DataLoader.

    keys     (step, part), in order, from the step that a run begins or goes on at
    batch    a function of the key alone, whichever process makes it and when

So order and values are the same with any number of workers, and there is no state to save: a loader begins anew at a step that
is not the next one.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import attrs
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from jvid.errors import JvidError

__all__ = ["Loader", "MakesBatches", "Share", "stacked"]

Batch = dict[str, Tensor]
Key = tuple[int, int]
_START = "fork" if hasattr(os, "fork") else None
"""How workers start: as copies of this process where the platform can, whatever its default is (`_forking`)."""


@attrs.frozen(eq=False)
class Share:
    """Makes the parts that one process of a job has of each step: ``share(step, part)``, on the processor.

    Place in the global batch = (part x world + rank) x size + row.

    Attributes:
        objective: whose ``sample(source, seed, step, place, batch)`` makes one sample.
        source: of the samples.
        seed: of the run.
        batch: samples of a step, over all processes and parts.
        parts: of a step, on each process.
        rank: of this process.
        world: number of processes.
    """

    objective: Any
    source: Any
    seed: int
    batch: int
    parts: int = 1
    rank: int = 0
    world: int = 1

    @property
    def size(self) -> int:
        """Samples of a part."""
        return self.batch // (self.parts * self.world)

    def places(self, part: int) -> range:
        """The places in the global batch of the samples of a part."""
        first = (part * self.world + self.rank) * self.size
        return range(first, first + self.size)

    def __call__(self, step: int, part: int) -> Batch:
        return stacked(self.objective, self.source, self.seed, step, self.places(part), self.batch)


@runtime_checkable
class MakesBatches(Protocol):
    """An objective that makes samples together, in less time than one by one."""

    def samples(self, source: Any, seed: int, step: int, places: Sequence[int], batch: int) -> Batch:
        """What ``sample`` makes at each place, stacked."""
        ...


def stacked(objective: Any, source: Any, seed: int, step: int, places: Sequence[int], batch: int) -> Batch:
    """The samples at ``places`` of a global batch, stacked."""
    if isinstance(objective, MakesBatches):
        return objective.samples(source, seed, step, places, batch)
    samples = [objective.sample(source, seed, step, place, batch) for place in places]
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


class Loader:
    """The parts of the batches of consecutive steps.

    Args:
        make: makes part ``part`` of step ``step``, as ``make(step, part)``; a worker gets a copy of it.
        parts: of a step.
        workers: processes that make batches ahead; 0 makes each when it is needed.
        ahead: batches that each worker keeps ready.
        pin: whether batches are in pinned memory, from which a GPU copies them while it computes.
    """

    def __init__(
        self,
        make: Callable[[int, int], Batch],
        parts: int = 1,
        workers: int = 0,
        ahead: int = 2,
        pin: bool = False,
    ) -> None:
        self._make, self._parts, self._workers, self._ahead, self._pin = make, parts, workers, ahead, pin
        self._next = -1
        self._batches: Iterator[Any] | None = None

    def __call__(self, step: int) -> Iterator[Batch]:
        """The parts of a step, one by one.

        Raises:
            JvidError: what making one raised, or that a worker died.
        """
        if not self._workers:
            for part in range(self._parts):
                yield self._make(step, part)
            return
        if step != self._next or self._batches is None:
            self.close()
            with _forking():
                self._batches = iter(self._from(step))
        self._next = step + 1
        for _ in range(self._parts):
            yield self._received(self._batches)

    def close(self) -> None:
        """End the workers."""
        self._batches, self._next = None, -1

    def _from(self, step: int) -> DataLoader[Any]:
        return DataLoader(
            _Made(self._make),
            sampler=_Keys(step, self._parts),
            batch_size=None,
            num_workers=self._workers,
            prefetch_factor=self._ahead,
            pin_memory=self._pin,
            multiprocessing_context=_START,
        )

    def _received(self, batches: Iterator[Any]) -> Batch:
        try:
            found = next(batches)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            self.close()
            raise JvidError(
                f"a process that makes batches died ({str(error).splitlines()[0]}): free memory or lower training.workers; "
                "the same command goes on from the last checkpoint"
            ) from error
        if isinstance(found, JvidError):
            self.close()
            raise found
        batch: Batch = found
        return batch


class _Keys:
    """(step, part) of every step from ``first`` on."""

    def __init__(self, first: int, parts: int) -> None:
        self._first, self._parts = first, parts

    def __iter__(self) -> Iterator[Key]:
        step = self._first
        while True:
            yield from ((step, part) for part in range(self._parts))
            step += 1


class _Made(Dataset[Any]):
    """Batches by key; an error of jvid is a value, since torch would wrap its message in a traceback."""

    def __init__(self, make: Callable[[int, int], Batch]) -> None:
        self._make = make

    def __getitem__(self, key: Key) -> Any:
        try:
            return self._make(*key)
        except JvidError as error:
            return error


@contextmanager
def _forking() -> Iterator[None]:
    """Within the block processes are forked, which never collect what is garbage here.

    Finalizers of FFmpeg's scalers and decoders wait for their threads, and a fork has none of them.
    """
    frozen = gc.get_freeze_count()
    gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
