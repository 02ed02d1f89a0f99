"""When the pictures of a clip are shown, and which of them is shown at a time.

    picture i    from starts[i] to starts[i + 1], the last one to the end; starts[0] = 0
    at t         the last picture with starts[i] <= t

A constant rate r is recognised where every timestamp is within a tick of i / r: then starts are i / r exactly, without the
container's rounding (a tick is a millisecond in Matroska). Timestamps that are absent or do not rise continue at the rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import numpy as np

__all__ = ["Timeline"]

_EXACT = 1e-6
"""In pictures or seconds: what floating point may lose of an exact multiple."""


@attrs.frozen(eq=False)
class Timeline:
    """The times of a clip's pictures, in seconds.

    Args:
        starts: of each picture ``(n)``, from 0, rising.
        end: of the last picture.
        rate: pictures per second, of a constant rate; the mean otherwise.
        constant: whether the rate is constant.
        tick: of the container's clock.
    """

    starts: np.ndarray
    end: float
    rate: float
    constant: bool
    tick: float

    @classmethod
    def of(
        cls,
        stamps: Sequence[float | None],
        last: float | None = None,
        rates: Iterable[float] = (),
        tick: float = _EXACT,
    ) -> Timeline:
        """The timeline of pictures with these timestamps.

        Args:
            stamps: seconds, of one picture or more; None where a container states none.
            last: how long the last picture is shown; as the one before it if None.
            rates: that the file declares; those that the timestamps do not follow are left out.
            tick: of the container's clock.

        Raises:
            ValueError: no timestamps and no rate.
        """
        declared = [rate for rate in rates if 0 < rate < 1000]
        starts = _rising(stamps, 1 / declared[0] if declared else None)
        count = len(starts)
        step = (starts[-1] - starts[0]) / (count - 1) if count > 1 else last or 0.0
        for rate in (*declared, *([1 / step] if step else ())):
            grid = np.arange(count) / rate
            if count > 1 and np.abs(starts - grid).max() <= min(tick, 0.4 / rate) + _EXACT:
                return cls(grid, count / rate, float(rate), True, tick)
        if last is None or last <= 0:
            last = float(starts[-1] - starts[-2]) if count > 1 else 1 / declared[0] if declared else 0.0
        if not last:
            raise ValueError("it declares no frame rate and no times")
        end = float(starts[-1]) + last
        return cls(starts, end, count / end, count == 1, tick)

    def __len__(self) -> int:
        return len(self.starts)

    def count(self, fps: float, phase: int = 0) -> int:
        """How many pictures ``indices`` has."""
        return max(0, int(np.floor((self.end - phase / self.rate) * fps + _EXACT)))

    def indices(self, fps: float, phase: int = 0) -> np.ndarray:
        """Indices of the pictures shown at ``phase / rate + k / fps``, k = 0, 1, ... to the end."""
        times = phase / self.rate + np.arange(self.count(fps, phase)) / fps
        if self.constant:
            # the small shift keeps exact multiples (25 -> 12.5) from falling to the frame before
            found = np.floor(times * self.rate + _EXACT).astype(np.int64)
        else:
            # half a tick is what the container's clock may have rounded up
            found = np.searchsorted(self.starts, times + min(self.tick / 2, 1e-3) + _EXACT, side="right") - 1
        return np.minimum(found, len(self.starts) - 1)


def _rising(stamps: Sequence[float | None], step: float | None) -> np.ndarray:
    """Timestamps from 0 that rise: where one is absent or does not, the clock goes on by a step."""
    known = [stamp for stamp in stamps if stamp is not None]
    if step is None:
        deltas = np.diff(known)
        rising = deltas[deltas > 0]
        step = float(np.median(rising)) if len(rising) else None
    if step is None and len(stamps) > 1:
        raise ValueError("it declares no frame rate and no times")
    found: list[float] = []
    shift = 0.0  # of the clock, after it was set back
    for stamp in stamps:
        if not found:
            shift = -(stamp or 0.0)
            found.append(0.0)
            continue
        assert step is not None
        if stamp is None:
            found.append(found[-1] + step)
            continue
        if stamp + shift <= found[-1]:
            shift = found[-1] + step - stamp
        found.append(stamp + shift)
    return np.asarray(found)
