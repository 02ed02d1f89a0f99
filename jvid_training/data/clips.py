"""Clips from a folder of class names: ``root/<class>/<clip>.avi``; and reading of clips and images.

A clip is resampled in time to the recipe's frame rate by presentation times: output frame k is the source frame
shown at ``phase/fps_source + k/fps``. A clip that cannot be read to its end is not an error of the run: it is
reported, and skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from jvid.errors import InputError
from jvid.refusals import refusal

SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
"""Endings of stills: clips of one frame."""


class ClipError(InputError):
    """A clip that cannot be used; the message gives the reason."""


@attrs.frozen
class ClipFile:
    """One file of the data set, before it is opened.

    ``name`` is its path below the root, stable wherever the folder lies; ``captions`` are its own, and ``attributes`` what
    its metadata states beside them (`jvid_training.data.captions`).
    """

    path: Path
    name: str
    action: str
    actor: str
    captions: tuple[str, ...] = ()
    attributes: dict[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(eq=False)
class VideoClip:
    """Decoded frames ``(f, h, w, 3)``, uint8 RGB, and the rate they are shown at (frames per second; None of a still)."""

    frames: np.ndarray
    fps: float | None


def find_clips(root: Path, actor_pattern: str) -> list[ClipFile]:
    """Every clip below ``root/<class>/``, sorted by name.

    ``actor_pattern`` is a regular expression whose group ``actor`` is searched for in the file's stem: the
    held-out split is made by actor, so a stem without one is an error.
    """
    if not root.is_dir():
        raise InputError(
            f"no folder of clips at {root}: expected {root}/<class>/<clip>.avi; set data.root, or JVID_SHARED"
        )
    pattern = re.compile(actor_pattern)
    found = []
    for path in sorted(root.glob("*/*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        match = pattern.search(path.stem)
        if match is None:
            raise InputError(
                f"clip {path.name}: data.actor = {actor_pattern!r} does not match its name; mend the pattern"
            )
        found.append(ClipFile(path, f"{path.parent.name}/{path.name}", path.parent.name, match["actor"]))
    if not found:
        raise InputError(
            f"no clips in {root}: expected {root}/<class>/<clip> ending in {', '.join(sorted(SUFFIXES))}"
        )
    return found


def read_clip(path: Path) -> VideoClip:
    """Decode a whole clip, or an image as a clip of one frame. Raises `ClipError` on a corrupt, truncated or empty file.

    Raises `InputError` on one that the system refuses to read.
    """
    if path.suffix.lower() in IMAGES:
        return VideoClip(_read_image(path)[None], None)
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ClipError(f"clip {path.name}: it holds no video stream")
            stream = container.streams.video[0]
            declared, rate = stream.frames, stream.average_rate
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except (av.error.FFmpegError, OSError, MemoryError) as error:
        if found := refusal(path, error):  # no fault of the clip: it would be left out for ever
            raise found from error
        raise ClipError(
            f"clip {path.name}: it cannot be decoded ({type(error).__name__}: {error})"
        ) from error
    if not frames:
        raise ClipError(f"clip {path.name}: it decodes to no frames")
    if declared and len(frames) < 0.9 * declared:
        raise ClipError(f"clip {path.name}: truncated, {len(frames)} of {declared} frames could be decoded")
    if not rate:
        raise ClipError(f"clip {path.name}: it declares no frame rate")
    return VideoClip(np.stack(frames), float(rate))


def _read_image(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        if found := refusal(path, error):
            raise found from error
        raise ClipError(
            f"image {path.name}: it cannot be decoded ({type(error).__name__}: {error})"
        ) from error


def resample_times(count: int, source_fps: float, fps: float, phase: int = 0) -> np.ndarray:
    """Indices of the source frames shown at ``phase/source_fps + k/fps``; never an index twice beyond the end."""
    duration = (count - phase) / source_fps
    times = phase / source_fps + np.arange(int(np.floor(duration * fps + 1e-6))) / fps
    # the small shift keeps exact multiples (25 -> 12.5) from falling to the frame before
    return np.minimum(np.floor(times * source_fps + 1e-6).astype(np.int64), count - 1)


def phases(source_fps: float, fps: float) -> Iterator[int]:
    """Start offsets, in source frames, that give different resampled clips of the same file."""
    yield from range(max(1, int(source_fps / fps + 1e-6)))
