"""The forms of media files, by their endings."""

from __future__ import annotations

from pathlib import Path

from jvid.files import check_file

__all__ = ["ENDINGS", "MOVING", "check_path"]

MOVING = (".mp4", ".gif", ".webp")
"""Endings of forms that play."""

ENDINGS = (*MOVING, ".png", ".safetensors")
"""Every ending that can be written."""


def check_path(path: str | Path, endings: tuple[str, ...] = ENDINGS) -> Path:
    """`jvid.files.check_file`, of the endings that can be written.

    Raises:
        InputError: as there.
    """
    return check_file(path, endings)
