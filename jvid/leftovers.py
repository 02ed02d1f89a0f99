"""Hidden names of files and folders that are being written, and their removal after a killed process.

    .NAME.HOST-PID-N.part.ENDING    is being written, and becomes NAME.ENDING
    .NAME.HOST-PID-N.old            was NAME, while a new folder takes its place

A name carries the process that writes: one of a process that is dead is a leftover.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["clean", "clean_once", "hidden", "remove"]


def _host() -> str:
    """Where a process number means a process: this machine, and in it this container."""
    try:
        numbered = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbered = ""
    return hashlib.blake2b(f"{socket.gethostname()} {numbered}".encode(), digest_size=3).hexdigest()


_HOST = _host()
_HIDDEN = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{6})-(?P<pid>\d+)-\d+\.(?P<kind>part|old)(\.[^.]*)?")
_OLDER = re.compile(r"\.(checkpoint-\d+|batch-\d+|set|final|shard-\d+|key|manifest|log)\.\d+\.part(\..*)?")
"""What earlier versions left in the folders of runs."""
_numbers = itertools.count()
_in_use: set[Path] = set()
_cleaned: set[Path] = set()


@contextmanager
def hidden(path: Path, kind: str = "part") -> Iterator[Path]:
    """A name beside ``path`` that no other write has, reserved within the block.

    A part keeps the ending, since libraries choose a format by it.
    """
    own = f"{_HOST}-{os.getpid()}-{next(_numbers)}"
    stem, ending = (path.stem, path.suffix) if kind == "part" else (path.name, "")
    name = path.with_name(f".{stem}.{own}.{kind}{ending}")
    _in_use.add(name)
    try:
        yield name
    finally:
        _in_use.discard(name)


def clean(folder: Path, *, locked: bool = False) -> None:
    """Remove what killed processes were writing in ``folder``.

    ``locked``: no other process can be writing to it, so that what processes of other machines left goes too.
    """
    if locked:
        with suppress(OSError):
            for name in filter(_OLDER.fullmatch, sorted(os.listdir(folder))):
                remove(folder / name)
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):
            found, path = _HIDDEN.fullmatch(name), Path(folder, name)
            if found and path not in _in_use and (locked or _dead(found["host"], int(found["pid"]))):
                with suppress(OSError):
                    if found["kind"] == "old" and not os.path.lexists(folder / found["name"]):
                        os.rename(path, folder / found["name"])
                    else:
                        remove(path)


def clean_once(folder: Path) -> None:
    """`clean`, the first time that this process writes to ``folder``."""
    if folder not in _cleaned:
        _cleaned.add(folder)
        clean(folder)


def _dead(host: str, pid: int) -> bool:
    if host != _HOST:
        return False
    if pid == os.getpid():
        return True  # of a process that had this number before: what this one writes is in use
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def remove(path: Path) -> None:
    """Delete a file or folder if it is there; of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
