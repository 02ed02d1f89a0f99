"""Paths that can be written, and writing them whole or not at all.

A file grows under a hidden name in the same folder and takes its own by one rename, which is atomic
on one file system; an error or an interrupt removes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jvid.errors import InputError

__all__ = ["ENDINGS", "MOVING", "check_path", "whole_file"]

MOVING = (".mp4", ".gif", ".webp")
"""Endings of forms that play."""

ENDINGS = (*MOVING, ".png", ".safetensors")
"""Every ending that can be written."""


def check_path(path: str | Path, endings: tuple[str, ...] = ENDINGS) -> Path:
    """The path, if a file of one of the endings can be written there.

    Raises:
        InputError: another ending, a folder that is not there or not writable, or a folder of that name.
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        got = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
        raise InputError(f"output {str(path)!r} {got}: expected {', '.join(endings)}")
    if not path.parent.is_dir():
        raise InputError(f"output {str(path)!r}: there is no folder {str(path.parent)!r}, make it first")
    if path.is_dir():
        raise InputError(f"output {str(path)!r} is a folder: expected a file's name")
    # Asked by trying: permission bits say nothing of read-only or special file systems.
    part = _part(path)
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise InputError(
            f"output {str(path)!r}: the folder {str(path.parent)!r} cannot be written to "
            f"({error.strerror or error}), give another"
        ) from error
    return path


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes ``path`` if the block ends well and vanishes otherwise."""
    part = _part(path)
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"cannot write {str(path)!r}: {error.strerror or error}; free the space or give another path"
        ) from error
    finally:
        part.unlink(missing_ok=True)
