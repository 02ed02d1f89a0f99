"""Processes that sample beside each other, or in turn: ``python -m benchmarks.beside ENSEMBLE STEPS`` is one of them.

Such a process loads the ensemble and takes its threads as ``jvid sample`` does, samples once, prints how many, and then samples a
clip for each line that it reads and answers with a line. What is timed is thus the sampling alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Process", "beside", "environment", "in_turn"]

ROOT = Path(__file__).parents[1]


def environment(processes: int, rank: int, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that a launcher gives to process ``rank`` of so many; without its variables where there is one."""
    found = dict(os.environ if environ is None else environ)
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE", "LOCAL_RANK", "WORLD_SIZE", "RANK"):
        found.pop(name, None)
    if processes > 1:
        found |= {"LOCAL_WORLD_SIZE": str(processes), "WORLD_SIZE": str(processes)}
        found |= {"LOCAL_RANK": str(rank), "RANK": str(rank)}
    return found


class Process:
    """One of ``processes`` on the machine; ``threads`` is what it took, ``begin`` and ``finish`` are one clip."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._running = subprocess.Popen(
            command, env=dict(environ), cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._threads: int | None = None

    @classmethod
    def of(cls, ensemble: str, steps: int, processes: int, rank: int) -> Self:
        """Rank ``rank`` of ``processes`` that sample."""
        return cls(
            [sys.executable, "-m", "benchmarks.beside", ensemble, str(steps)], environment(processes, rank)
        )

    @property
    def threads(self) -> int:
        """Waits until the process is ready."""
        if self._threads is None:
            self._threads = int(self._line())
        return self._threads

    def begin(self) -> None:
        """Ask for a clip."""
        assert self.threads
        self._running.stdin.write("clip\n")
        self._running.stdin.flush()

    def finish(self) -> None:
        """Wait for it."""
        self._line()

    def _line(self) -> str:
        line = self._running.stdout.readline()
        if not line:
            raise RuntimeError(f"a sampling process ended with code {self._running.wait()}: see its stderr")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._running.kill()
        self._running.communicate()  # its input ends, and so does it


def beside(processes: Iterable[Process]) -> None:
    """A clip of each, all at once."""
    every = list(processes)
    for process in every:
        process.begin()
    for process in every:
        process.finish()


def in_turn(processes: Iterable[Process]) -> None:
    """A clip of each, one after the other."""
    for process in processes:
        beside([process])


def _main(ensemble: str, steps: str) -> None:
    import attrs

    from benchmarks.paper_strategy import paper_strategy
    from jvid.ensemble import Composition, Source
    from jvid.machine.cores import set_threads

    threads = set_threads()
    models = Source(ensemble).load()
    composition = Composition(attrs.evolve(paper_strategy(), steps=int(steps)), models)
    sampler, cond = composition.sampler(), composition.condition([models.prompts[0]])
    sampler(models.shape, seeds=[0], cond=cond)  # what is loaded and kept at the first clip
    print(threads, flush=True)
    for seed, _ in enumerate(sys.stdin):
        sampler(models.shape, seeds=[seed], cond=cond)
        print("done", flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
