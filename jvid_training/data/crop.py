"""Crops: the centre, or a square camera that follows the person.

The person is found as what moves: ``e[f, x] = sum_y |frame - median over time|``. The crop's centre is the
energy's midpoint per frame, smoothed by a Gaussian over time; when the whole track stays within a tenth of the
crop it is replaced by its mean, so that a person who acts on the spot has a still background. The track
is clamped to the picture: a crop never needs padding.

Frames are iterated over, once for the median and once for the energy, so that a clip of large pictures costs the memory of
a few. The median is of all frames as far as they fit in `_MEDIAN_BYTES`, else of every second, fourth, ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import overload

import attrs
import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from jvid.media.clips import ClipError

_MEDIAN_BYTES = 64 << 20


@attrs.frozen
class Crop:
    """A window of source pixels: centres ``x`` per frame ``(f,)`` and one ``y``, its sides, in pixels."""

    x: np.ndarray = attrs.field(eq=False)
    y: float
    height: float
    width: float


def centre_crop(frames: np.ndarray, size: int | None = None) -> Crop:
    """The middle of the picture, a square of ``size`` pixels (the short side by default)."""
    count, height, width, _ = frames.shape
    size = min(height, width) if size is None else size
    _check(size, height, width)
    return Crop(np.full(count, width / 2), height / 2, size, size)


def widest_crop(frames: np.ndarray, sides: tuple[int, int]) -> Crop:
    """The middle of the picture, as much of it as has the ratio of ``sides`` (height, width), in whole pixels."""
    count, height, width, _ = frames.shape
    scale = min(height / sides[0], width / sides[1])
    rows, columns = (
        min(max(round(side * scale), 1), most) for side, most in zip(sides, (height, width), strict=True)
    )
    return Crop(np.full(count, width / 2), height / 2, rows, columns)


def person_crop(
    frames: Callable[[], Iterable[np.ndarray]],
    fps: float,
    size: int,
    vertical: float = 0.5,
    seconds: float = 0.4,
) -> Crop:
    """Follow what moves.

    ``frames()`` are those of a clip, each ``(h, w, 3)``, at ``fps``; ``vertical`` is the crop's centre as a fraction of the
    height (a standing person's, not the moving limbs'); ``seconds`` is the deviation of the smoothing over time.
    """
    still = _median(_grey(frames()))
    height, width = still.shape
    _check(size, height, width)
    energy = np.stack([_energy(grey, still) for grey in _grey(frames())])  # (f, w)
    count = len(energy)
    total = energy.sum(1)
    if total.max() <= 0:
        return Crop(np.full(count, width / 2), _clamp(vertical * height, size, height), size, size)
    columns = np.arange(width) + 0.5
    cumulated = np.cumsum(energy, 1) / np.maximum(total[:, None], 1e-9)
    # The midpoint of the 10-90 % range: less drawn to a dark torso than the mean, blind to specks.
    low = np.array(
        [
            columns[np.searchsorted(row, 0.1)] if weight else np.nan
            for row, weight in zip(cumulated, total, strict=True)
        ]
    )
    high = np.array(
        [
            columns[min(np.searchsorted(row, 0.9), width - 1)] if weight else np.nan
            for row, weight in zip(cumulated, total, strict=True)
        ]
    )
    track = (low + high) / 2
    seen = total > 0.25 * np.median(total[total > 0])
    track = np.interp(np.arange(count), np.flatnonzero(seen), track[seen])
    x = gaussian_filter1d(track, seconds * fps, mode="nearest")
    if np.ptp(x) < 0.1 * size:
        x = np.full(count, np.average(track, weights=np.maximum(total, 1e-9)))
    return Crop(_clamp(x, size, width), _clamp(vertical * height, size, height), size, size)


def _grey(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    return (frame.astype(np.float32).mean(-1) for frame in frames)


def _median(greys: Iterable[np.ndarray]) -> np.ndarray:
    kept: list[np.ndarray] = []
    stride = 1
    for number, grey in enumerate(greys):
        if number % stride == 0:
            kept.append(grey)
        if len(kept) > 3 and len(kept) * grey.nbytes > _MEDIAN_BYTES:
            kept, stride = kept[::2], 2 * stride
    # A row at a time: the median copies what it sorts.
    rows = [np.median([grey[row] for grey in kept], axis=0) for row in range(len(kept[0]))]
    return np.stack(rows).astype(np.float32)


def _energy(grey: np.ndarray, still: np.ndarray) -> np.ndarray:
    moving = np.abs(grey - still)
    moving[moving < 20.0] = 0.0  # 20 of 255: above the noise and compression of small clips
    energy: np.ndarray = moving.sum(0)
    return energy


def apply_crop(frames: np.ndarray, crop: Crop, sides: tuple[int, int]) -> np.ndarray:
    """Cut ``(f, h, w, 3)`` uint8 along the crop and scale to ``sides`` (height, width), bicubic with anti-aliasing."""
    half = crop.width / 2
    pieces = []
    top = round(crop.y - crop.height / 2)
    rows, side = round(crop.height), round(crop.width)
    for frame, x in zip(frames, crop.x, strict=True):
        # Sub-pixel positions in x: a slow pan must not jump by whole source pixels.
        left = min(max(float(x) - half, 0.0), frame.shape[1] - side)
        whole = int(left)
        part = left - whole
        piece = frame[top : top + rows, whole : whole + side].astype(np.float32)
        if part > 1e-3 and whole + side < frame.shape[1]:
            beside = frame[top : top + rows, whole + 1 : whole + 1 + side].astype(np.float32)
            piece = (1 - part) * piece + part * beside
        pieces.append(piece)
    tensor = torch.from_numpy(np.stack(pieces)).permute(0, 3, 1, 2)
    scaled = torch.nn.functional.interpolate(
        tensor, sides, mode="bicubic", antialias=True, align_corners=False
    )
    return scaled.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


@overload
def _clamp(centre: np.ndarray, size: float, extent: int) -> np.ndarray: ...


@overload
def _clamp(centre: float, size: float, extent: int) -> float: ...


def _clamp(centre: np.ndarray | float, size: float, extent: int) -> np.ndarray | float:
    return (
        np.clip(centre, size / 2, extent - size / 2)
        if isinstance(centre, np.ndarray)
        else float(np.clip(centre, size / 2, extent - size / 2))
    )


def _check(size: int, height: int, width: int) -> None:
    if not 0 < size <= min(height, width):
        raise ClipError(
            f"crop of {size} px does not fit a picture of {width}x{height}: set data.crop_size to at most {min(height, width)}"
        )
