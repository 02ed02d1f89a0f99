"""One clip as the sequences of frames that are encoded: cropped, scaled, resampled in time, mirrored.

Pictures are cropped and scaled as they are decoded, so that a clip of large ones costs the memory of a few. What follows a person
reads the clip four times; a small one is decoded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jvid.errors import located
from jvid.media.clips import ClipError, WholeClip, pictures, timeline_of, whole_clip
from jvid.media.streams import Picture
from jvid_training.data.clips import ClipFile, phases
from jvid_training.data.crop import Crop, apply_crop, centre_crop, person_crop
from jvid_training.data.manifest import Sequence
from jvid_training.recipe import Data

__all__ = ["sequences"]

_KEPT = 64 << 20
"""Bytes of pictures that are kept rather than decoded again."""
_MOST = 1 << 30
"""Bytes of frames of one sequence."""


def sequences(file: ClipFile, data: Data) -> Iterator[tuple[Sequence, np.ndarray]]:
    """Each sequence of a clip with its frames ``(f, size, size, 3)``, uint8.

    Raises:
        ClipError: a clip that cannot be read to its end, is too small for the crop, or shorter than ``data.frames``.
    """
    clip = _cropped(file, data)
    rate = clip.fps or data.fps  # a still is one frame at any rate
    longest = 0
    for phase in phases(rate, data.fps) if data.phases else (0,):
        frames = _resampled(file, clip, data, phase)
        longest = max(longest, len(frames))
        if len(frames) < data.frames:
            continue
        for flip in (False, True) if data.flip else (False,):
            shown = np.ascontiguousarray(frames[:, :, ::-1]) if flip else frames
            yield Sequence(
                file.name, file.action, file.actor, phase, flip, 0, len(frames),
                captions=file.captions, attributes=file.attributes,
            ), shown  # fmt: skip
    if longest < data.frames:
        raise ClipError(
            f"clip {file.name}: {longest} frames at {data.fps:g} fps, expected at least {data.frames}"
        )


def _resampled(file: ClipFile, clip: WholeClip, data: Data, phase: int) -> np.ndarray:
    if clip.timeline is None:
        return clip.frames
    count = clip.timeline.count(data.fps, phase)
    if count * clip.frames[0].nbytes > _MOST:
        raise ClipError(
            f"clip {file.name}: its times span {clip.timeline.end:.4g} s, {count} frames at {data.fps:g} fps; cut it into "
            "shorter clips"
        )
    frames: np.ndarray = clip.frames[clip.timeline.indices(data.fps, phase)]
    return frames


def _cropped(file: ClipFile, data: Data) -> WholeClip:
    if data.crop == "centre":

        def middle(picture: Picture) -> np.ndarray:
            frame = picture.pixels[None]
            with located(f"clip {file.name}"):
                cut: np.ndarray = apply_crop(frame, centre_crop(frame, data.crop_size), data.size)[0]
            return cut

        return whole_clip(file.path, each=middle, most=_MOST)
    frames = _Frames(file.path)
    with located(f"clip {file.name}"):
        size = data.crop_size or min(frames.shape[:2])
        track = person_crop(frames, frames.fps or data.fps, size, data.vertical)
    cut = [
        apply_crop(frame[None], Crop(track.x[place : place + 1], track.y, track.size), data.size)[0]
        for place, frame in enumerate(frames())
    ]
    return WholeClip(np.stack(cut), frames.timeline)


class _Frames:
    """The frames of a clip, as often as they are iterated over; those of a small clip are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: list[np.ndarray] = []
        seen: list[Picture] = []
        small = True
        for picture in pictures(path):
            if small:
                self.kept.append(picture.pixels)
                self.shape = self.kept[0].shape
                small = len(self.kept) * self.kept[0].nbytes <= _KEPT
            seen.append(picture.forgotten())
        if not small:
            self.kept = []
        self.timeline = timeline_of(path, seen)

    @property
    def fps(self) -> float | None:
        return None if self.timeline is None else self.timeline.rate

    def __call__(self) -> Iterator[np.ndarray]:
        return iter(self.kept) if self.kept else (picture.pixels for picture in pictures(self.path))
