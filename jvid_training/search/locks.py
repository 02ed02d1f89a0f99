"""Who does what, among processes that may be killed at any moment.

Locks are the system's on open files: they go with the process that holds them, however it dies. So a trial whose owner's
lock can be taken is nobody's, and no heartbeat, clock or process id is asked.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from jvid_training.jobs.locks import held

__all__ = ["Workers"]


class Workers:
    """The workers of a folder; entering the context makes this process one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> Workers:
        self._mine = held(self._path(self.name))
        self._mine.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._path(self.name).unlink(missing_ok=True)
        self._mine.__exit__(None, None, None)

    def alive(self, name: str) -> bool:
        """Whether the worker of that name still runs."""
        if name == self.name:
            return True
        try:
            with self._path(name).open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        self._path(name).unlink(missing_ok=True)  # what a killed one left
        return False

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"
