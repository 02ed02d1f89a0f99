"""The files of a data set: clips of ``root/<class>/...`` and what is passed over; `jvid.media.clips` reads them.

A clip is resampled in time to the recipe's frame rate by presentation times: output frame k is the source frame
shown at ``phase/fps_source + k/fps``. A clip that cannot be read to its end is not an error of the run: it is
reported, and skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from jvid.errors import InputError
from jvid.media.clips import CLIPS, IMAGES
from jvid_models.captions import METADATA

__all__ = ["MEDIA", "ClipFile", "Stored", "actor_of", "files_below", "find_clips", "passed_over", "phases"]

MEDIA = CLIPS | IMAGES
"""Endings of clips and stills."""


@attrs.frozen
class Stored:
    """Where a clip lies within another file (`jvid_training.data.stored`)."""

    kind: str
    """"tar", "parquet" or "arrow"."""
    first: int
    """Its first byte, or its row."""
    size: int = 0
    """Its bytes in a tar."""
    column: str = ""
    """Of a table."""


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
    stored: Stored | None = None
    """Where it lies within the file at ``path``; None where that is the clip itself."""


def find_clips(root: Path, actor_pattern: str) -> list[ClipFile]:
    """Every clip below ``root/<class>/``, in folders of any depth, sorted by name.

    ``actor_pattern`` is a regular expression whose group ``actor`` is searched for in the file's name: the
    held-out split is made by actor, so a name without one is an error.
    """
    if not root.is_dir():
        raise InputError(
            f"no folder of clips at {root}: expected {root}/<class>/<clip>.avi; set data.root, or JVID_SHARED"
        )
    found = []
    for path in files_below(root):
        name = path.relative_to(root)
        if not _is_clip(path) or len(name.parts) < 2:
            continue
        actor = actor_of(path, actor_pattern)
        if actor is None:
            raise InputError(
                f"clip {path.name}: data.actor = {actor_pattern!r} does not match its name; mend the pattern"
            )
        found.append(ClipFile(path, name.as_posix(), name.parts[0], actor))
    if not found:
        raise InputError(
            f"no clips in {root}: expected {root}/<class>/<clip> ending in {', '.join(sorted(CLIPS))}"
        )
    return sorted(found, key=lambda file: file.path)


def actor_of(path: Path, pattern: str) -> str | None:
    """The group ``actor`` of a pattern that is searched for in a file's name, without its ending and then with it.

    None where the pattern does not match.
    """
    match = re.search(pattern, path.stem) or re.search(pattern, path.name)
    return match and match["actor"]


def files_below(root: Path) -> list[Path]:
    """All files of a folder and of those in it, hidden ones left out, sorted; links to folders are followed, circles not."""
    found: list[Path] = []
    seen: set[str] = set()
    for folder, names, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = [name for name in names if not name.startswith(".")]
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    return sorted(found)


def passed_over(root: Path, captions: str) -> list[str]:
    """The files below a data set's root that are neither clips nor their captions, by their paths below it."""
    belongs = set(METADATA) if captions == "metadata" else set()
    found = []
    for path in files_below(root):
        name = path.relative_to(root)
        if captions == "class":
            known = _is_clip(path) and len(name.parts) > 1
        else:
            known = path.suffix.lower() in MEDIA or (captions == "text" and path.suffix == ".txt")
        if not known and path.name not in belongs:
            found.append(name.as_posix())
    return found


def phases(source_fps: float, fps: float) -> Iterator[int]:
    """Start offsets, in source frames, that give different resampled clips of the same file."""
    yield from range(max(1, int(source_fps / fps + 1e-6)))


def _is_clip(path: Path) -> bool:
    # A WebP may be either: a still has one frame, too few for a clip.
    return path.suffix.lower() in CLIPS | {".webp"}
