"""How long clips are: as the pair's own, shorter, or longer and then in windows.

    frames <= known    the video expert sees the clip as it is
    frames >  known    windows of ``known`` frames, ``known - overlap`` apart: see ``jvid.denoisers.windowed``

An image expert sees single frames, so it needs no windows. Here are the numbers, which need no tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jvid.errors import InputError

__all__ = ["check_frames", "clip_shape", "windows"]


def check_frames(frames: Any) -> None:
    """Refuse a number of frames that is none.

    Raises:
        InputError: no whole number of at least 1.
    """
    if type(frames) is not int or frames < 1:
        raise InputError(f"frames {frames!r}: expected a whole number of frames, 1 or more")


def clip_shape(shape: Sequence[int], frames: int | None) -> tuple[int, int, int, int]:
    """A pair's shape ``(c, f, h, w)`` with ``frames`` in place of f; None keeps f.

    Raises:
        InputError: no whole number of at least 1.
    """
    c, f, h, w = shape
    if frames is None:
        return c, f, h, w
    check_frames(frames)
    return c, frames, h, w


def windows(frames: int, known: int, overlap: int) -> tuple[int, int] | None:
    """Size and stride of the windows that an expert of ``known`` frames needs; None where it needs none.

    Raises:
        InputError: ``overlap`` is a whole window or more, so that windows would not move on.
    """
    if frames <= known:
        return None
    if overlap >= known:
        raise InputError(
            f"overlap {overlap}: a window has the pair's {known} frames; expected fewer in common, at most {known - 1}"
        )
    return known, known - overlap
