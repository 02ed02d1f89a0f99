"""Writing clips and latents; `jvid.media.files` has the table of formats."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError
from jvid.extras import extra
from jvid.files import whole_file
from jvid.media.files import FORMATS, Format, check_path, endings, format_of, listed
from jvid.media.frames import to_frames
from jvid.media.looks import Look

if TYPE_CHECKING:
    from torch import Tensor

    from jvid.media.frames import Frames

__all__ = ["check_library", "check_transparent", "default_scale", "write_latents", "write_video"]


def check_library(path: Path) -> None:
    """Import what writes files of this ending, before anything is computed for them.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    with extra("media"):
        for library in format_of(path).libraries:
            importlib.import_module(library)


def check_transparent(path: Path) -> None:
    """Refuse a format that has no transparency.

    Raises:
        InputError: it has none.
    """
    if not format_of(path).transparent:
        able = listed(form.ending for form in FORMATS.values() if form.transparent)
        raise InputError(f"{str(path)!r} cannot be transparent: expected {able}")


def default_scale(ending: str, height: int, width: int) -> int:
    """The whole factor that brings the short side to the format's own pixels; 1 at least."""
    return max(1, round(FORMATS[ending].side / min(height, width)))


def write_video(
    path: str | Path,
    video: Tensor | Frames,
    fps: float,
    metadata: Mapping[str, Any] | None = None,
    *,
    scale: int | None = None,
    exact: bool = False,
    transparent: bool = False,
) -> Path:
    """Write a video in the format of the ending, as a clip that plays or a contact sheet.

    Args:
        path: where; an existing file is replaced.
        video: floats ``(b 3 f H W)`` in [-1, 1], or bytes ``(f H W 3)`` or ``(b f H W 3)``; b = 1 where it plays.
        fps: frames per second; gif and webp keep whole milliseconds.
        metadata: values that JSON can hold; ``read_metadata`` gives them back.
        scale: whole factor of enlargement; see ``default_scale`` for None.
        exact: enlarge pixel by pixel, and keep colours where the format can: for pixel art.
        transparent: leave out the plain background; not in mp4.

    Returns:
        The path.

    Raises:
        InputError: an ending, a folder, a video, a rate or a factor that will not do, or a format without transparency.
    """
    path = check_path(path, "clip", "sheet")
    form = format_of(path)
    frames = to_frames(video)
    if not 0 < fps <= 1000:
        raise InputError(f"fps {fps!r}: expected a number above 0, at most 1000")
    if transparent:
        check_transparent(path)
    if form.holds == "clip" and len(frames) != 1:
        sheet, *_ = endings("sheet")
        raise InputError(
            f"{len(frames)} clips for one {form.ending}: expected one clip (a {sheet} sheet takes many)"
        )
    factor = default_scale(form.ending, *frames.shape[2:4]) if scale is None else scale
    look = Look(factor, exact, transparent)
    text = _text(form, metadata)
    with whole_file(path) as part:
        form.write(part, frames, text, fps, look)
    return path


def write_latents(path: str | Path, latents: Tensor, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write latents ``(b c f h w)`` as they are.

    Raises:
        InputError: an ending or a folder that will not do.
    """
    path = check_path(path, "latents")
    form = format_of(path)
    text = _text(form, metadata)
    with whole_file(path) as part:
        form.write(part, latents, text)
    return path


def _text(form: Format, metadata: Mapping[str, Any] | None) -> str:
    values = dict(metadata or {})
    return json.dumps(values if form.own_key else {"jvid": values})
