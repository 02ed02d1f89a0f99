"""The workers of a sweep, each of which may be killed at any moment.

Each holds a lock that ends with its process. So a trial whose worker's lock is free belongs to no worker; no heartbeat, clock or
process number is needed.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from jvid_training.jobs.locks import held, is_held

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
        return is_held(self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"
