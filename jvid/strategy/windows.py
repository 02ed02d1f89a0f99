"""The windows over clips that are longer than an ensemble's.

frames <= known    an expert sees the clip as it is
frames >  known    windows of ``known`` frames, ``known - overlap`` apart: see ``jvid.denoisers.windowed``
"""

from __future__ import annotations

from jvid.errors import InputError

__all__ = ["windows"]


def windows(frames: int, known: int, overlap: int) -> tuple[int, int] | None:
    """Size and stride of the windows that an expert of ``known`` frames needs; None where it needs none.

    Raises:
        InputError: ``overlap`` is a whole window or more, so that windows would not move on.
    """
    if frames <= known:
        return None
    if overlap >= known:
        raise InputError(
            f"overlap {overlap}: a window has the ensemble's {known} frames; expected fewer in common, at most {known - 1}"
        )
    return known, known - overlap
