"""Processes forked from the test's own, which have torch and diffusers imported: ten processor seconds less for each.

A new interpreter is what a user gets, and a test of each launcher starts one (``test_pool.py``, ``test_processes.py``).
Where a test is about what processes do together, a fork does the same and starts at once. CPU only.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import attrs
from accelerate.state import AcceleratorState

__all__ = ["Command", "Workers", "run_ranks"]

_FORK = multiprocessing.get_context("fork")
_STUCK = 1800.0
"""Seconds after which a process of a job, which needs a few, prints where it is and ends: else a test would never end."""


@attrs.define
class Forked:
    """A worker of a pool: what ``Pool`` uses of ``subprocess.Popen``."""

    process: Any
    stdin: TextIO
    stdout: TextIO

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int:
        self.process.join()
        return self.process.exitcode


class Workers:
    """A stand-in for ``pool._started`` that forks; ``started`` holds the workers."""

    def __init__(self) -> None:
        self.started: list[Forked] = []

    def __call__(self, work: str) -> Forked:
        tasks, to_worker = os.pipe()
        from_worker, messages = os.pipe()
        # A fork inherits every pipe: the end of a stream would never come while another worker holds it open.
        held = [to_worker, from_worker]
        held += [
            stream.fileno()
            for each in self.started
            for stream in (each.stdin, each.stdout)
            if not stream.closed
        ]
        process = _FORK.Process(target=_work, args=(work, tasks, messages, held))
        process.start()
        os.close(tasks)
        os.close(messages)
        worker = Forked(process, os.fdopen(to_worker, "w", buffering=1), os.fdopen(from_worker))
        self.started.append(worker)
        return worker


def _work(work: str, tasks: int, messages: int, held: Sequence[int]) -> None:
    from jvid_training.jobs import pool

    for number in held:
        os.close(number)
    os.dup2(tasks, 0)
    os.dup2(messages, 1)
    os.close(tasks)
    os.close(messages)
    sys.stdin = os.fdopen(0, closefd=False)
    pool.main(work)


class Command:
    """``work`` in a process of its own: what it prints, its lines of the standard error stream as they come, its exit code."""

    def __init__(self, work: Callable[[], int], folder: Path) -> None:
        errors, write = os.pipe()
        self._printed = folder / "printed"
        self.process = _FORK.Process(target=_command, args=(work, self._printed, errors, write))
        self.process.start()
        os.close(write)
        self.errors = os.fdopen(errors)

    def ended(self) -> tuple[int, str, str]:
        """The exit code, what it printed, and the rest of its errors."""
        errors = self.errors.read()
        self.process.join()
        return self.process.exitcode, self._printed.read_text(), errors


def _command(work: Callable[[], int], printed: Path, errors: int, write: int) -> None:
    os.close(errors)
    with printed.open("w") as sys.stdout, os.fdopen(write, "w", buffering=1) as sys.stderr:
        sys.exit(work())


def run_ranks(count: int, work: Callable[[], int]) -> tuple[list[int], str]:
    """Run ``work`` in so many processes of one job, as torchrun starts them; their exit codes and what they print."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(rank) for rank in range(count)]
        processes = [
            _FORK.Process(target=_rank, args=(rank, count, port, work, path))
            for rank, path in enumerate(paths)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return [process.exitcode for process in processes], "".join(path.read_text() for path in paths)


def _rank(rank: int, count: int, port: int, work: Callable[[], int], path: Path) -> None:
    job = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(value) for name, value in job.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    AcceleratorState._reset_state(True)  # of the job of one process that the test's own may have been
    with path.open("w", buffering=1) as printed:
        sys.stdout = sys.stderr = printed
        faulthandler.dump_traceback_later(_STUCK, exit=True, file=printed)
        sys.exit(work())
