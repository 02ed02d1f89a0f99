"""Clips that lie within other files: a member of a tar, or a value of a table.

    tar        bytes ``first`` to ``first + size`` of the file
    parquet    row ``first`` of a column, in a file of Parquet
    arrow      row ``first`` of a column, in a file of Arrow's stream or file format

A clip is copied to a file of its own for as long as it is decoded.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

from jvid.errors import InputError
from jvid.files import safe_name
from jvid.media.clips import ClipError
from jvid.refusals import unreadable
from jvid_training.data.clips import ClipFile, Stored
from jvid_training.data.tables import value_at

__all__ = ["extracted"]

_MAGIC = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"BM", ".bmp"))


@contextmanager
def extracted(file: ClipFile) -> Iterator[ClipFile]:
    """The file, with a path at which its clip can be read within the block.

    Raises:
        ClipError: there is no clip at its place.
        InputError: the system refuses to read, or to write the copy.
    """
    if file.stored is None:
        yield file
        return
    content, name = _content(file, file.stored)
    if isinstance(content, Path):
        yield attrs.evolve(file, path=content)
        return
    suffix = Path(name).suffix.lower() or _suffix(content)
    with ExitStack() as held:
        try:
            folder = held.enter_context(
                tempfile.TemporaryDirectory(prefix="jvid-", ignore_cleanup_errors=True)
            )
            path = Path(folder) / f"{safe_name(Path(name).stem)}{suffix}"
            path.write_bytes(content)
        except OSError as error:
            raise InputError(
                f"cannot copy a clip to {tempfile.gettempdir()}: {error.strerror}; set TMPDIR"
            ) from error
        yield attrs.evolve(file, path=path)


def _content(file: ClipFile, stored: Stored) -> tuple[bytes | Path, str]:
    """The bytes of a clip, or its path, and its name."""
    if stored.kind == "tar":
        try:
            with file.path.open("rb") as archive:
                content = os.pread(archive.fileno(), stored.size, stored.first)
        except OSError as error:
            raise unreadable(file.path, error, "expected the tar that was there before") from error
        if len(content) != stored.size:
            raise ClipError(f"clip {file.name}: {file.path} is shorter than it was")
        return content, file.name
    value: Any = value_at(file.path, stored.kind, stored.column, stored.first)
    name = file.name
    if isinstance(value, dict):
        name, value = value.get("path") or "", value.get("bytes") or value.get("path")
    if isinstance(value, str):
        return file.path.parent / value, value
    if not isinstance(value, bytes):
        raise ClipError(f"clip {file.name}: column {stored.column!r} holds no clip there")
    return value, name


def _suffix(content: bytes) -> str:
    """The ending of a still by its first bytes; any other file is a clip, which is recognised when it is decoded."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC if content.startswith(magic)), ".mp4")
