"""Clips and stills as they are shown: the one reader of pictures, for training, evaluation and what models take.

    .avi .mp4 .mkv ...    FFmpeg's decoders, by PyAV      .gif .webp .png .jpg ...    Pillow

A picture has the orientation and the aspect of its file, square pixels, the file's colour matrix and range, and eight bits;
fields are woven together, and what is transparent is black. A picture of another size than the first is scaled to the
first's. Pictures are decoded as they are iterated over: one is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError, JvidError, MissingDependencyError, one_line
from jvid.media import stills, streams
from jvid.media.streams import Picture
from jvid.refusals import refusal

if TYPE_CHECKING:
    import numpy as np

    from jvid.media.timeline import Timeline

__all__ = ["CLIPS", "IMAGES", "ClipError", "Picture", "WholeClip", "pictures", "timeline_of", "whole_clip"]

CLIPS = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})  # fmt: skip
"""Endings of clips."""
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
"""Endings of stills, clips of one picture; an animated one is a clip."""
_PILLOW = IMAGES | {".gif"}


class ClipError(InputError):
    """A clip that cannot be used; the message gives the reason."""


@attrs.frozen(eq=False)
class WholeClip:
    """A clip in memory: ``frames (f H W 3)``, uint8 RGB, and when they are shown; no times of a still."""

    frames: np.ndarray
    timeline: Timeline | None

    @property
    def fps(self) -> float | None:
        """Pictures per second, the mean of varying ones; None of a still."""
        return None if self.timeline is None else self.timeline.rate


def pictures(path: str | Path) -> Iterator[Picture]:
    """The pictures of a clip in the order in which they are shown, one of a still.

    Raises:
        ClipError: something else than a clip, a damaged file, one that ends before its declared length, or pictures of more
            than `streams.MOST_PIXELS`.
        InputError: the system refuses to read the file.
    """
    path = Path(path)
    found = 0
    try:
        for picture in (stills if path.suffix.lower() in _PILLOW else streams).decoded(path):
            found += 1
            yield picture
    except MissingDependencyError:  # no fault of the clip
        raise
    except JvidError as error:
        raise ClipError(f"{_named(path)}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{_named(path)}: no memory is left to decode it") from error
    except Exception as error:  # each library has its own errors for a damaged file
        if refused := refusal(path, error):  # no fault of the clip: it would be left out for ever
            raise refused from error
        raise ClipError(
            f"{_named(path)}: it cannot be decoded ({one_line(error, typed=True)[:160]})"
        ) from error
    if not found:
        raise ClipError(f"{_named(path)}: it decodes to no frames")


def timeline_of(path: str | Path, seen: list[Picture]) -> Timeline | None:
    """When the pictures of a clip are shown; None of a still.

    Args:
        path: of the clip, for errors.
        seen: its pictures; their pixels are not read.

    Raises:
        ClipError: neither times nor a rate, or less than the file declares.
    """
    first, last = seen[0], seen[-1]
    if first.stream is None:
        return None
    try:
        return first.stream.timeline([picture.time for picture in seen], last.duration)
    except ValueError as error:
        raise ClipError(f"{_named(Path(path))}: {error}") from error


def whole_clip(
    path: str | Path, *, most: int = 1 << 30, each: Callable[[Picture], np.ndarray] | None = None
) -> WholeClip:
    """All frames of a clip.

    Args:
        path: of the clip.
        most: bytes that its frames may take.
        each: makes a frame of a picture, its pixels if None: a crop of large pictures costs little memory.

    Raises:
        ClipError: as `pictures` and `timeline_of`, or frames that take more than ``most``.
        InputError: as `pictures`.
    """
    import numpy as np

    frames: list[np.ndarray] = []
    seen: list[Picture] = []
    size = 0
    for picture in pictures(path):
        frame = picture.pixels if each is None else each(picture)
        size += frame.nbytes
        if size > most:
            raise ClipError(
                f"{_named(Path(path))}: its frames take more than {most >> 20} MiB ({len(frames)} read); give a shorter or "
                "smaller one"
            )
        frames.append(frame)
        seen.append(picture.forgotten())
    shapes = sorted({frame.shape for frame in frames})
    if len(shapes) > 1:
        raise ClipError(f"{_named(Path(path))}: frames of several sizes, {shapes[0]} and {shapes[1]}")
    return WholeClip(np.stack(frames), timeline_of(path, seen))


def _named(path: Path) -> str:
    return f"{'image' if path.suffix.lower() in IMAGES else 'clip'} {path.name}"
