"""Checks of what a feature network reads of a clip: each frame, and all of the picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from jvid.core.metric_values import rows_of
from jvid.testing.checking import check, declare
from jvid.testing.drawn import drawn_clips
from jvid.testing.samples import drawn_frames
from jvid.testing.trial import Trial

declare("features", sampled=False, cropped=False)

MOST = 4


@check("features")
def every_frame_counts(subject: Any, trial: Trial) -> None:
    """Each frame moves the clip's row, or its own row and no other (``sampled=True`` for one that reads some frames)."""
    of_frames = subject.kind == "frame"
    if trial.option("sampled") and not of_frames:
        trial.skip("it reads some of a clip's frames, on purpose")

    @trial.fewer(MOST).given(clips=drawn_clips(trial))
    def _(clips: tuple[int, int, int, int]) -> None:
        _, frames, side, seed = _of_several(clips, trial)
        array = drawn_frames(1, frames, side, seed)
        before = rows_of(subject, array)
        for frame in range(frames):
            other = array.copy()
            other[:, frame] = 255 - other[:, frame]
            after = rows_of(subject, other)
            moved = {key: _moved(rows, after[key]) for key, rows in before.items()}
            assert any(map(np.any, moved.values())), (
                f"frame {frame} of {frames} was inverted, and no row moved"
            )
            if of_frames:
                for key, each in moved.items():
                    others = [k for k in range(frames) if k != frame and each.reshape(frames, -1)[k].any()]
                    assert not others, f"frame {frame} was inverted, and {key} of frames {others} moved"


@check("features")
def every_edge_counts(subject: Any, trial: Trial) -> None:
    """The outermost sixteenth of a picture, on each side, moves its row (``cropped=True`` for a network of the middle alone)."""
    if trial.option("cropped"):
        trial.skip("it reads the middle of a picture, on purpose")

    def edges(clips: tuple[int, int, int, int]) -> None:
        _, frames, side, seed = _of_several(clips, trial)
        array = drawn_frames(1, frames, side, seed)
        before = rows_of(subject, array)
        wide = max(1, side // 16)
        for axis in (2, 3):
            for first in (True, False):
                other = array.copy()
                strip = [slice(None)] * 5
                strip[axis] = slice(None, wide) if first else slice(-wide, None)
                other[tuple(strip)] = drawn_frames(1, frames, side, seed + 1)[tuple(strip)]
                after = rows_of(subject, other)
                where = {(2, True): "top", (2, False): "bottom", (3, True): "left", (3, False): "right"}[
                    axis, first
                ]
                assert any(_moved(rows, after[key]).any() for key, rows in before.items()), (
                    f"{wide} of {array.shape[axis]} pixels at the {where} were replaced in all frames, and no row moved"
                )

    trial.fewer(MOST).given(clips=drawn_clips(trial))(edges)
    if "sides" not in trial.declared:  # pictures in use are larger than those that are drawn
        trial.each([{"clips": (1, 2, 48, 1)}], edges)


def _of_several(clips: tuple[int, int, int, int], trial: Trial) -> tuple[int, int, int, int]:
    """Clips of several frames where the network takes such: of one frame there is no motion to read."""
    count, frames, side, seed = clips
    return count, max(frames, min((each for each in trial.frames if each > 1), default=frames)), side, seed


def _moved(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Where rows ``(1 d)`` or ``(1 f d)`` differ by more than a network's rounding."""
    found: np.ndarray = np.abs(two - one)[0] > 1e-6 * max(1.0, float(np.abs(one).max()))
    return found
