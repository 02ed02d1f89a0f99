"""Checks of feature networks: frames uint8 ``(n f H W 3)`` to rows ``(n d)`` of clips or ``(n f d)`` of frames.

``frames`` and ``sides`` are those that the network takes; rows of one clip in two batches may differ by ``tolerance``, since
networks sum in another order there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from jvid.core.metric_values import rows_of
from jvid.testing.checking import check
from jvid.testing.checks import features_reference, features_use  # noqa: F401 - they register
from jvid.testing.drawn import drawn_clips
from jvid.testing.samples import drawn_frames
from jvid.testing.trial import Trial


@check("features")
def it_declares_itself(subject: Any, trial: Trial) -> None:
    """A name and a fingerprint as text, the same each time, and whether a row is of a clip or of a frame."""
    for what in ("name", "fingerprint"):
        value = getattr(subject, what)
        assert isinstance(value, str), f"{what} is a {type(value).__name__}: expected text"
        assert value.strip(), f"{what} is empty"
        assert getattr(subject, what) == value, f"{what} is another the second time"
    assert subject.kind in ("clip", "frame"), f"kind {subject.kind!r}: expected 'clip' or 'frame'"


@check("features")
def rows_of_its_kind(subject: Any, trial: Trial) -> None:
    """Finite rows ``(n d)`` of clips or ``(n f d)`` of frames, of one width for clips of one size."""

    @trial.given(clips=drawn_clips(trial))
    def _(clips: tuple[int, int, int, int]) -> None:
        count, frames, side, seed = clips
        rows = rows_of(subject, drawn_frames(count, frames, side, seed))["features"]
        more = rows_of(subject, drawn_frames(count + 1, frames, side, seed))["features"]
        assert rows.shape[-1] == more.shape[-1], (
            f"width {rows.shape[-1]} of {count} clips, {more.shape[-1]} of one more"
        )


@check("features")
def a_row_is_of_its_clip_alone(subject: Any, trial: Trial) -> None:
    """The rows of a clip are the same whatever the batch: alone, and beside other clips."""

    @trial.given(clips=drawn_clips(trial, 2))
    def _(clips: tuple[int, int, int, int]) -> None:
        array = drawn_frames(*clips)
        array[1:] //= 2
        whole = rows_of(subject, array)
        for k in range(len(array)):
            alone = rows_of(subject, array[k : k + 1])
            for key, rows in whole.items():
                trial.close(
                    _tensor(alone[key]), _tensor(rows[k : k + 1]), f"{key} of clip {k} alone and in a batch"
                )


@check("features")
def frames_untouched(subject: Any, trial: Trial) -> None:
    """The frames are not changed in place, and read-only ones are taken."""

    @trial.given(clips=drawn_clips(trial))
    def _(clips: tuple[int, int, int, int]) -> None:
        array = drawn_frames(*clips)
        kept = array.copy()
        subject(array)
        assert np.array_equal(array, kept), "the frames are others after the call"
        array.setflags(write=False)
        subject(array)


@check("features")
def the_same_each_time(subject: Any, trial: Trial) -> None:
    """It gives equal rows again, also after other clips; what it returns is not written on later."""

    @trial.given(clips=drawn_clips(trial))
    def _(clips: tuple[int, int, int, int]) -> None:
        array = drawn_frames(*clips)
        first = rows_of(subject, array)
        kept = {key: rows.copy() for key, rows in first.items()}
        subject(drawn_frames(clips[0], clips[1], clips[2], clips[3] + 1))
        for key, rows in kept.items():
            assert np.array_equal(first[key], rows), f"{key} that it returned are others after another call"
        again = rows_of(subject, array)
        for key, rows in kept.items():
            assert np.array_equal(again[key], rows), f"{key} are others the second time"


def _tensor(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(rows, np.float64))
