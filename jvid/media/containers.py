"""Containers of video files, opened as files and nothing else.

A path is handed to FFmpeg as ``file:/absolute/path``, so that no name is taken for a protocol (``http:``, ``concat:``); only
formats that hold their own pictures are opened, since a playlist would have other files read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError
from jvid.extras import extra
from jvid.refusals import openable

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

__all__ = ["check_regular", "reading", "writing"]

_FORMATS = "asf,avi,dv,flv,gif,h264,hevc,ivf,m4v,matroska,mov,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,swf,webm,yuv4mpegpipe"


def reading(path: Path) -> InputContainer:
    """The container of a file, to read from; to be used by ``with``.

    Raises:
        InputError: something else than a regular file, which could have no end.
        OSError, av.error.FFmpegError: the system refuses, or FFmpeg does not know the content.
    """
    with extra("media"):
        import av

    check_regular(path)
    openable(path)  # FFmpeg has its own errors for a file that cannot be opened
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    return av.open(_named(path), options=options, metadata_errors="replace")


def check_regular(path: Path) -> None:
    """Raise `InputError` for what is there and no regular file: it could have no end."""
    if path.exists() and not path.is_file():
        raise InputError(f"{str(path)!r} is no regular file: expected a picture or a clip")


def writing(path: Path, **options: Any) -> OutputContainer:
    """The container of a file, to write to; to be used by ``with``."""
    with extra("media"):
        import av

    container: OutputContainer = av.open(_named(path), "w", **options)
    return container


def _named(path: Path) -> str:
    return f"file:{os.path.abspath(path)}"
