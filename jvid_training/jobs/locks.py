"""Locks among processes: the system's on an open file (flock), which ends with the processes that hold it, however they die.

    held      one process at a time; others wait
    is_held   whether a process that is alive holds the file
    Lock      of a folder; others are refused

The process that begins a run in a folder holds its `Lock` alone, then every process of the run may share it, and no other
run begins before the last of them is gone. The library filelock has no lock that becomes shared without a moment between
in which no process holds it; so these are the project's own, and every lock is one of them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from jvid.errors import InputError

__all__ = ["Lock", "held", "is_held"]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """One process at a time within the block; others wait.

    Raises:
        InputError: the file cannot be made or locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; give another folder") from error
    with file:
        _flock(file, path, fcntl.LOCK_EX)
        yield


def is_held(path: Path) -> bool:
    """Whether a process is within `held` of this file; the file of one that died is removed."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # held, or not to be known
        return True
    path.unlink(missing_ok=True)
    return False


def _flock(file: IO[str], path: Path, how: int) -> None:
    """Lock an open file; raises BlockingIOError where it would have to wait and ``how`` forbids it."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        raise
    except OSError as error:
        raise InputError(
            f"{path} cannot be locked ({error.strerror or error}): give a folder on another file system"
        ) from error


class Lock:
    """The lock of ``folder``, held within a ``with`` block.

    Args:
        folder: that is written to.
        alone: whether to begin a run; else to take part in one that is under way.

    Raises:
        InputError: another run holds it, or the folder cannot be written to.
    """

    def __init__(self, folder: Path, alone: bool) -> None:
        self._path, self._alone = folder / ".lock", alone

    def __enter__(self) -> Lock:
        try:
            self._file = self._path.open("a+", encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{self._path.parent} cannot be written to ({error.strerror or error}): give another folder"
            ) from error
        self._take(fcntl.LOCK_EX if self._alone else fcntl.LOCK_SH)
        if self._alone:
            with suppress(OSError):  # who it is helps the reader of an error, on a full disk not even that
                self._file.truncate(0)
                self._file.write(f"{os.getpid()}\n")
                self._file.flush()
        return self

    def share(self) -> None:
        """Let the other processes of the run in."""
        self._take(fcntl.LOCK_SH)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _take(self, how: int) -> None:
        try:
            _flock(self._file, self._path, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            who = self._file.read().strip()
            self._file.close()
            raise InputError(
                f"another run{f' (process {who})' if who else ''} is writing to {self._path.parent}: "
                "wait for it, or give another folder"
            ) from error
        except InputError:
            self._file.close()
            raise
