"""One clip as the sequences of frames that are encoded: cropped, scaled, resampled in time, mirrored.

Pictures are cropped and scaled as they are decoded, so that a clip of large ones costs the memory of a few. What follows a person
reads the clip four times; a small one is decoded once. A sequence is of the bucket that fits its clip best
(`jvid_training.data.buckets`); a clip whose best size has no bucket that is short enough is decoded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jvid.errors import located
from jvid.media.clips import ClipError, WholeClip, pictures, timeline_of, whole_clip
from jvid.media.streams import Picture
from jvid_training.data.buckets import best_bucket
from jvid_training.data.clips import ClipFile, phases
from jvid_training.data.crop import Crop, apply_crop, centre_crop, person_crop, widest_crop
from jvid_training.data.manifest import Sequence
from jvid_training.recipe import Data
from jvid_training.recipe_buckets import Bucket, buckets_of

__all__ = ["sequences"]

_KEPT = 64 << 20
"""Bytes of pictures that are kept rather than decoded again."""
_MOST = 1 << 30
"""Bytes of frames of one sequence."""


def sequences(file: ClipFile, data: Data) -> Iterator[tuple[Sequence, np.ndarray]]:
    """Each sequence of a clip with its frames ``(f, h, w, 3)``, uint8.

    Raises:
        ClipError: a clip that cannot be read to its end, is too small for the crop, or shorter than the shortest bucket.
    """
    buckets = buckets_of(data)
    cropped = _Cropped(file, data, buckets)
    clip = cropped.clip
    rate = clip.fps or data.fps  # a still is one frame at any rate
    longest = 0
    for phase in phases(rate, data.fps) if data.phases else (0,):
        count = len(clip.frames) if clip.timeline is None else clip.timeline.count(data.fps, phase)
        longest = max(longest, count)
        number = best_bucket(buckets, cropped.shape, count)
        if number is None:
            continue
        frames = _resampled(file, cropped.to(buckets[number].size), data, phase)
        for flip in (False, True) if data.flip else (False,):
            shown = np.ascontiguousarray(frames[:, :, ::-1]) if flip else frames
            yield Sequence(
                file.name, file.action, file.actor, phase, flip, 0, len(frames),
                captions=file.captions, attributes=file.attributes, bucket=number,
            ), shown  # fmt: skip
    if longest < (least := min(bucket.frames for bucket in buckets)):
        raise ClipError(f"clip {file.name}: {longest} frames at {data.fps:g} fps, expected at least {least}")


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


class _Cropped:
    """A clip in the size of a bucket, first in the one that fits it best.

    Attributes:
        clip: as it was cropped last.
        shape: height and width of its pictures.
    """

    clip: WholeClip
    shape: tuple[int, int]

    def __init__(self, file: ClipFile, data: Data, buckets: tuple[Bucket, ...]) -> None:
        self._file, self._data, self._buckets = file, data, buckets
        self._size: tuple[int, int] | None = None
        self._read()

    def to(self, size: tuple[int, int]) -> WholeClip:
        """The clip in another size."""
        if size != self._size:
            self._size = size
            self._read()
        return self.clip

    def _read(self) -> None:
        file, data = self._file, self._data
        if data.crop == "centre":
            self.clip = whole_clip(file.path, each=self._middle, most=_MOST)
            return
        frames = _Frames(file.path)
        sides = self._sides(frames.shape)
        with located(f"clip {file.name}"):
            size = data.crop_size or min(frames.shape[:2])
            track = person_crop(frames, frames.fps or data.fps, size, data.vertical)
        cut = [
            apply_crop(
                frame[None], Crop(track.x[place : place + 1], track.y, track.height, track.width), sides
            )[0]
            for place, frame in enumerate(frames())
        ]
        self.clip = WholeClip(np.stack(cut), frames.timeline)

    def _middle(self, picture: Picture) -> np.ndarray:
        frame = picture.pixels[None]
        sides = self._sides(frame.shape[1:])
        with located(f"clip {self._file.name}"):
            square = sides[0] == sides[1]
            crop = centre_crop(frame, self._data.crop_size) if square else widest_crop(frame, sides)
            cut: np.ndarray = apply_crop(frame, crop, sides)[0]
        return cut

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        if self._size is None:
            self.shape = shape[0], shape[1]
            number = best_bucket(self._buckets, self.shape)
            assert number is not None
            self._size = self._buckets[number].size
        return self._size


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
