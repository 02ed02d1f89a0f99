"""Finished latents into files: decoded clip by clip, each once, with the record of how they were made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.pipeline.make import Made
    from jvid.pipeline.record import Record

__all__ = ["targets", "write_clips"]


def targets(paths: Sequence[Path], count: int) -> list[tuple[Path, slice]]:
    """Each file to write with the clips that it holds: clips that play have a file each.

    Raises:
        InputError: a file that would be written twice.
    """
    from jvid.media.files import format_of

    found: list[tuple[Path, slice]] = []
    for path in paths:
        if count > 1 and format_of(path).holds == "clip":
            numbered = [path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(count)]
            found += [(each, slice(i, i + 1)) for i, each in enumerate(numbered)]
        else:
            found.append((path, slice(0, count)))
    names = [path.resolve() for path, _ in found]
    if twice := [path for path, _ in found if names.count(path.resolve()) > 1]:
        raise InputError(f"output {str(twice[0])!r} would be written twice: give each file its own name")
    return found


def write_clips(
    ensemble: Ensemble,
    record: Record,
    made: Made,
    files: list[tuple[Path, slice]],
    *,
    scale: int | None = None,
    exact: bool = False,
    transparent: bool = False,
) -> float:
    """Write every file as `jvid.media.write_video` does, transparent where the format can be; returns the seconds of decoding.

    A decoded clip is held until its last file is written.
    """
    import torch

    from jvid.media.files import format_of
    from jvid.media.writing import write_latents, write_video
    from jvid.pipeline.make import decoded
    from jvid.pipeline.record import untested_of

    fps = float(ensemble.fps)
    pixels: dict[int, Any] = {}
    last = {
        i: path
        for path, part in files
        for i in range(part.start, part.stop)
        if format_of(path).holds != "latents"
    }
    seconds = 0.0
    for path, part in files:
        metadata = record.of(part, fps) | untested_of(ensemble)
        if format_of(path).holds == "latents":
            write_latents(path, made.latents[part], metadata)
            continue
        for i in range(part.start, part.stop):
            if i not in pixels:
                started = time.perf_counter()
                (pixels[i],) = decoded(ensemble, made.latents[i : i + 1])
                seconds += time.perf_counter() - started
        write_video(
            path,
            torch.cat([pixels[i] for i in range(part.start, part.stop)]),
            fps,
            metadata,
            scale=scale,
            exact=exact,
            transparent=transparent and format_of(path).transparent,
        )
        pixels = {i: video for i, video in pixels.items() if last[i] != path}
    return seconds
