"""Wrappers with a slip: each class is the factory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import fold_frames
from jvid.core.levels import levels_for
from jvid.core.protocols import Condition
from jvid.denoisers.wrapper import Wrapper
from jvid.postprocessors import UniformSmoothing
from jvid.schedules import FlowMatching
from jvid.testing.references import wrappers
from tests.mutants.unseen import unseen
from tests.mutants.wrapper_bases import Frames, Guide, Passing, Windows

FLOW = FlowMatching()
MASK, ONES = torch.full((1, 1, 1, 1, 1), 0.5), torch.ones(1, 1, 1, 1, 1)


@unseen("wrapper", reference=wrappers.guided, ranges={"scale": (0.0, 6.0)}, factory=True)
class RescaledByTheBatch(Guide):
    """Guidance is brought back to the conditional prediction's deviation, over the whole batch."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        made = null + self.scale * (one - null)
        return made * (one.std(correction=0) / made.std(correction=0)) if made.numel() > 1 else made


@unseen("wrapper", reference=partial(wrappers.guided, scale=2.0, low=0.2, high=0.7), factory=True)
class OutsideTheInterval(Guide):
    """Guidance acts outside of its interval, and not within."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        inside = ((t >= 0.2) & (t <= 0.7)).view(-1, 1, 1, 1, 1)
        return torch.where(inside, one, null + self.scale * (one - null))


@unseen("wrapper", reference=wrappers.guided, factory=True)
class ScaleThatFallsWithT(Guide):
    """The scale is multiplied by t, a schedule of guidance that is not declared."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        return null + self.scale * t.view(-1, 1, 1, 1, 1).to(x) * (one - null)


@unseen("wrapper", reference=wrappers.guided, factory=True)
class ClippedGuidance(Guide):
    """The guided prediction is clipped to [-1, 1]."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond).clamp(-1.0, 1.0)


@unseen("wrapper", reference=wrappers.guided, factory=True)
class GuidedInFloat32(Guide):
    """The two predictions are mixed in float32."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = (each.float() for each in self.halves(x, t, cond))
        return (null + self.scale * (one - null)).to(x.dtype)


@unseen("wrapper", framewise=True, reference=wrappers.framewise, factory=True)
class TextsInTurn(Frames):
    """Texts are repeated frame by frame, "(f b)", where rows are clip by clip."""

    def folded(self, cond: Condition, b: int, f: int) -> Condition:
        made = dict(fold_frames(cond, b, f))
        made["text"] = cond["text"].repeat(f, 1, 1)
        return made


WINDOWS: Mapping[str, Any] = {"window": 4, "frames": (1, 3, 4, 7, 9)}


def _windowed(denoiser: Any, x: Tensor, t: Tensor, cond: Any) -> Tensor:
    """The plain mean over windows of 4, 2 apart."""
    return Windows(denoiser)(x, t, cond)


@unseen("wrapper", **WINDOWS, reference=_windowed, factory=True)
class LastWindowWins(Windows):
    """Where windows overlap, the last one's frames are taken."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = torch.zeros_like(x)
        for start in self.starts(x.shape[2]):
            part = slice(start, start + self.size)
            out[:, :, part] = self.denoiser(x[:, :, part], t, self.cut(cond, part))
        return out


@unseen("wrapper", **WINDOWS, reference=_windowed, factory=True)
class NoWindowAtTheEnd(Windows):
    """Frames behind the last whole window keep their noise."""

    def starts(self, f: int) -> list[int]:
        return [*range(0, max(f - self.size, 0) + 1, self.stride)]

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        total, count = torch.zeros_like(x), x.new_zeros(x.shape[2], 1, 1)
        for start in self.starts(x.shape[2]):
            part = slice(start, start + self.size)
            total[:, :, part] += self.denoiser(x[:, :, part], t, self.cut(cond, part))
            count[part] += 1.0
        return torch.where(count > 0, total / count.clamp_min(1.0), x)


@unseen(
    "wrapper", identity=False, reference=partial(wrappers.known, mask=MASK * 0.4, latents=ONES), factory=True
)
class MaskTurnedRound(Passing):
    """What the mask keeps and what it leaves are exchanged."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        m = (MASK * 0.4).to(x)
        return (1.0 - m) * ONES.to(x) + m * self.denoiser(x, t, cond)


@unseen(
    "wrapper", schedule=FLOW, times=(0.0, 0.8), reference=partial(wrappers.bridged, schedule=FLOW), factory=True
)  # fmt: skip
class ScaledBySignal(Wrapper):
    """x is scaled by the ratio of both alphas at the same t, not at the same angle."""

    schedule = FLOW

    def __init__(self, denoiser: Any) -> None:
        self.denoiser = denoiser

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        own, _ = levels_for(self.denoiser.schedule, t, x)
        alpha, _ = levels_for(FLOW, t, x)
        return self.denoiser((x.double() * own / alpha).to(x.dtype), t, cond)


@unseen("wrapper", identity=False,
        reference=partial(wrappers.corrected, postprocessor=UniformSmoothing(3)), factory=True)  # fmt: skip
class CorrectedBefore(Passing):
    """The postprocessor is put on x, and not on x_0."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return self.denoiser(UniformSmoothing(3)(x), t, cond)
