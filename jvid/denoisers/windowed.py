"""Clips longer than a denoiser was trained on, by windows over their frames.

    x_0[f] = sum_k w_k[f] D(x[window_k])[f] / sum_k w_k[f]

Windows of ``size`` frames start every ``stride``; the last one ends with the clip. Weights rise linearly from a window's
edges over the frames that windows share, so neighbours fade into each other. The cost grows with the
number of windows, that is linearly with the clip.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.evaluations import evaluations_of
from jvid.core.levels import require_latents, require_prediction, working_dtype
from jvid.core.protocols import Condition, Denoiser, Evaluation
from jvid.denoisers.wrapper import Wrapper, check_inner
from jvid.errors import InputError

__all__ = ["Windowed"]


@attrs.frozen(eq=False)
class Windowed(Wrapper):
    """``denoiser`` in windows of ``size`` frames, ``stride`` apart; shorter clips pass through as they are.

    ``PerFrame`` conditions are cut with the frames; all others hold for every window. Windows are evaluated one after the
    other: memory does not grow with the clip.
    """

    denoiser: Denoiser
    size: int = 16
    stride: int = attrs.field()
    """Three quarters of the size unless it is given."""

    @stride.default
    def _three_quarters(self) -> int:
        return max(1, 3 * self.size // 4) if type(self.size) is int else 1

    def __attrs_post_init__(self) -> None:
        check_inner(self.denoiser, "Windowed")
        for name in ("size", "stride"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(
                    f"Windowed got {name}={value!r}; expected a whole number of frames, at least 1"
                )
        if self.stride > self.size:
            raise InputError(
                f"Windowed got stride={self.stride} above size={self.size}; expected at most the size: no frame is left out"
            )

    def starts(self, f: int) -> tuple[int, ...]:
        """The first frames of the windows of a clip of f frames."""
        if f <= self.size:
            return (0,)
        last = f - self.size
        return (*range(0, last, self.stride), last)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        require_latents(x, "Windowed")
        f = x.shape[2]
        if f <= self.size:
            return self.denoiser(x, t, cond)
        dtype = working_dtype(x)
        ramp = torch.arange(1, self.size + 1, dtype=dtype, device=x.device)
        overlap = max(self.size - self.stride, 1)
        weight = torch.minimum(ramp, ramp.flip(0)).clamp_max(overlap).view(1, 1, -1, 1, 1)
        total = torch.zeros_like(x, dtype=dtype)
        weights = torch.zeros(1, 1, f, 1, 1, dtype=dtype, device=x.device)
        for start in self.starts(f):
            part = slice(start, start + self.size)
            own = x[:, :, part]
            x_0 = require_prediction(self.denoiser(own, t, _cut(cond, part, f)), own, "Windowed")
            total[:, :, part] += x_0.to(dtype) * weight
            weights[:, :, part] += weight
        return (total / weights).to(x.dtype)

    def evaluations(self, t: float, frames: int) -> Sequence[Evaluation]:
        """The denoiser's for a window, as many times as there are windows."""
        windows = len(self.starts(frames))
        seen = evaluations_of(self.denoiser, t, min(frames, self.size))
        return [attrs.evolve(each, count=windows * each.count) for each in seen]


def _cut(cond: Condition, part: slice, f: int) -> Condition:
    def cut(name: str, value: Tensor) -> PerFrame:
        if value.shape[1] != f:
            raise InputError(
                f"the per-frame condition {name!r} has {value.shape[1]} frames; the clip has {f}"
            )
        return PerFrame(value[:, part])

    return map_condition(cond, lambda name, value: value, cut)
