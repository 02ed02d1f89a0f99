"""A lock among processes: the system's on an open file, which goes with the process that holds it, however it dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jvid.errors import InputError

__all__ = ["held"]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """One process at a time within the block; others wait.

    Raises:
        InputError: the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; give another folder") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
