"""Noise, postprocessors, denoisers and wrappers with a slip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.denoisers.wrapper import Wrapper
from jvid.postprocessors import GaussianSmoothing, TemporalSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing.references import noise, postprocessors, wrappers
from tests.mutants.denoiser_bases import CONTEXT, Grey
from tests.mutants.unseen import unseen
from tests.mutants.unseen.denoisers import exact
from tests.mutants.wrapper_bases import Frames, Guide, Passing, Windows


@unseen("noise", reference=noise.independent)
@attrs.frozen
class ScaledByFrames:
    """Divided by the root of the number of frames, as a mean would be."""

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        out: Tensor = draw("z", shape) / math.sqrt(shape[2])
        return out


@unseen("noise", reference=partial(noise.shared, ratio=0.5))
@attrs.frozen
class OneDrawForBoth:
    """The shared part is the first frame of each frame's own draw."""

    def correlation(self, i: int, j: int) -> float:
        return 1.0 if i == j else 0.5

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        own = draw("z", shape)
        out: Tensor = math.sqrt(0.5) * (own + own[:, :, :1])
        return out


@unseen("noise", reference=noise.independent)
@attrs.frozen
class RepeatedBeyondAWindow:
    """Frames beyond the fourth repeat the noise of the first four, as long clips by windows do."""

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        z = draw("z", shape)
        out: Tensor = z[:, :, torch.arange(shape[2]) % 4]
        return out


@unseen("noise", reference=partial(noise.mixed, alpha=1.0))
@attrs.frozen
class MovedNoise:
    """The shared part moves by half a pixel a frame, interpolated between its neighbours."""

    def correlation(self, i: int, j: int) -> float:
        return 1.0 if i == j else 0.5

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        b, c, f, h, w = shape
        common = draw("shared", (b, c, 1, h, w)).expand(b, c, f, h, w).clone()
        common[:, :, 1::2] = 0.5 * (common[:, :, 1::2] + common[:, :, 1::2].roll(1, -1))
        out: Tensor = math.sqrt(0.5) * (common + draw("own", shape))
        return out


@unseen("postprocessor", reference=postprocessors.gaussian)
class FirstThreeChannels:
    """Only three channels are smoothed, as of colours; latents have more."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([GaussianSmoothing(1.0)(x[:, :3]), x[:, 3:]], 1)


@unseen("postprocessor", reference=postprocessors.gaussian)
class ColoursOfTheFirstFrame:
    """Each frame is brought back to the first frame's mean."""

    def __call__(self, x: Tensor) -> Tensor:
        out = GaussianSmoothing(1.0)(x)
        mean = out.mean((3, 4), keepdim=True)
        return out - mean + mean[:, :, :1]


@unseen("postprocessor", reference=postprocessors.gaussian)
class CutAtTwo:
    """The Gaussian is cut at two deviations in place of four."""

    def __call__(self, x: Tensor) -> Tensor:
        weights = torch.tensor([math.exp(-0.5 * k * k) for k in range(-2, 3)], dtype=torch.float64)
        f, s = x.shape[2], x.double()
        index = (torch.arange(f).view(-1, 1) + torch.arange(-2, 3).view(1, -1)).clamp(0, f - 1)
        taken = s[:, :, index] - s[:, :, :1, None]
        weighed = (taken * (weights / weights.sum()).view(1, 1, 1, 5, 1, 1)).sum(3)
        return (s[:, :, :1] + weighed).to(x.dtype)


@unseen("postprocessor", reference=postprocessors.temporal)
class MotionOfNeighbours:
    """Motion is the difference from the frame before, and not from the mean over time."""

    def __call__(self, x: Tensor) -> Tensor:
        s = x.to(torch.promote_types(x.dtype, torch.float32))
        mu = s[:, :, :1] + (s - s[:, :, :1]).mean(2, keepdim=True)
        sd = mu.std((-2, -1), keepdim=True, correction=0)
        moved = torch.cat([torch.zeros_like(s[:, :, :1]), s.diff(dim=2)], 2).abs()
        v = torch.where(moved > 0, moved / sd, torch.zeros_like(moved)).sum(1, keepdim=True)
        return torch.where(v < 2.0, mu.to(x.dtype), x)


@unseen("postprocessor", reference=postprocessors.temporal)
class VarianceForDeviation:
    """Motion is divided by the variance, and not by the deviation."""

    def __call__(self, x: Tensor) -> Tensor:
        s = x.to(torch.promote_types(x.dtype, torch.float32))
        mu = s[:, :, :1] + (s - s[:, :, :1]).mean(2, keepdim=True)
        sd = mu.var((-2, -1), keepdim=True, correction=0)
        moved = (s - mu).abs()
        v = torch.where(moved > 0, moved / sd, torch.zeros_like(moved)).sum(1, keepdim=True)
        return torch.where(v < 2.0, mu.to(x.dtype), x)


@unseen("postprocessor", reference=postprocessors.temporal)
class Inverted:
    """What moves is smoothed, and what rests is kept."""

    def __call__(self, x: Tensor) -> Tensor:
        still = TemporalSmoothing(2.0)(x)
        mu = x[:, :, :1] + (x - x[:, :, :1]).mean(2, keepdim=True)
        return torch.where(still == x, mu.to(x.dtype).expand_as(x), x)


@unseen("postprocessor", reference=postprocessors.temporal)
class StdOverAllFrames:
    """The deviation is over frames as well as over the picture."""

    def __call__(self, x: Tensor) -> Tensor:
        s = x.to(torch.promote_types(x.dtype, torch.float32))
        mu = s[:, :, :1] + (s - s[:, :, :1]).mean(2, keepdim=True)
        sd = s.std((2, 3, 4), keepdim=True, correction=0)
        moved = (s - mu).abs()
        v = torch.where(moved > 0, moved / sd, torch.zeros_like(moved)).sum(1, keepdim=True)
        return torch.where(v < 2.0, mu.to(x.dtype), x)


TABLE = TabulatedSchedule.scaled_linear()


def _of_networks() -> Any:
    return unseen("denoiser", **CONTEXT, reference=exact)


@_of_networks()
class NoiseForVelocity(Grey):
    """A network of v is read as one of eps."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        x_0 = super().__call__(x, t, cond)
        alpha, sigma = (level.view(-1, 1, 1, 1, 1).to(x) for level in TABLE(t.double()))
        v = (alpha * x - x_0) / sigma.clamp_min(1e-6)
        return torch.where(sigma > 0, (x - sigma * v) / alpha, x_0)


@_of_networks()
class OneTimestepLate(Grey):
    """The network gets the timestep behind its own."""

    def time(self, t: Tensor) -> Tensor:
        return (t + 0.001).clamp(max=1.0)


@_of_networks()
class AlwaysInHalf(Grey):
    """It computes in bfloat16, whatever it is given."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond).bfloat16().to(x.dtype)


@_of_networks()
class FactorOnTheWayOut(Grey):
    """x_0 is divided by the codec's factor, and x was not multiplied by it."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond) / 0.8


@_of_networks()
class LevelsOfTheOtherTable(Grey):
    """alpha and sigma are those of linear betas, for a network of scaled-linear ones."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        alpha, sigma = (level.view(-1, 1, 1, 1, 1).to(x) for level in TABLE(t.double()))
        other = TabulatedSchedule.linear()
        alpha_2, sigma_2 = (level.view(-1, 1, 1, 1, 1).to(x) for level in other(t.double()))
        eps = (x - alpha * super().__call__(x, t, cond)) / sigma.clamp_min(1e-6)
        return torch.where(sigma > 0, (x - sigma_2 * eps) / alpha_2, x)


@_of_networks()
class TextOfTheFirstClip(Grey):
    """The text of the first clip of a batch is every clip's."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        return super().mean(x, cond)[:1]


@_of_networks()
class TooSureOfItself(Grey):
    """The variance of the data is taken for its deviation: half of it is believed."""

    std = 0.25


@unseen("wrapper", reference=partial(wrappers.guided, scale=2.0, low=0.2, high=0.7), factory=True)
class IntervalInProgress(Passing):
    """The interval of guidance is read as one of progress, 1 - t."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = Guide(self.denoiser).halves(x, t, cond)
        inside = ((1.0 - t >= 0.2) & (1.0 - t <= 0.7)).view(-1, 1, 1, 1, 1)
        return torch.where(inside, null + 2.0 * (one - null), one)


@unseen("wrapper", reference=wrappers.guided, factory=True)
class ZerosForNull(Guide):
    """Zeros take the place of the empty prompt's text."""

    def halves(self, x: Tensor, t: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        return super().halves(x, t, {**cond, "null": {"text": torch.zeros_like(cond["null"]["text"])}})


@unseen(
    "wrapper",
    identity=False,
    reference=partial(
        wrappers.known, mask=torch.full((1, 1, 1, 1, 1), 0.5), latents=torch.ones(1, 1, 1, 1, 1)
    ),
    factory=True,
)
class KnownAtTheNoisyLevel(Passing):
    """What is known is scaled by alpha, as of noisy latents, and put into x_0."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        alpha = self.schedule(t.double())[0].view(-1, 1, 1, 1, 1).to(x)
        return 0.5 * alpha + 0.5 * self.denoiser(x, t, cond)


FLOW = FlowMatching()


@unseen(
    "wrapper",
    schedule=FLOW,
    times=(0.0, 0.8),
    reference=partial(wrappers.bridged, schedule=FLOW),
    factory=True,
)
class BridgedByTime(Wrapper):
    """Latents are scaled to the other schedule, and the time is kept: equal times are no equal levels."""

    schedule = FLOW

    def __init__(self, denoiser: Any) -> None:
        self.denoiser = denoiser

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one = torch.hypot(*FLOW(t.double())).view(-1, 1, 1, 1, 1)
        two = torch.hypot(*self.denoiser.schedule(t.double())).view(-1, 1, 1, 1, 1)
        return self.denoiser((x.double() * two / one).to(x.dtype), t, cond)


@unseen("wrapper", framewise=True, reference=wrappers.framewise, factory=True)
class TimesInTurn(Frames):
    """Times of clips are repeated frame by frame, where rows are clip by clip."""

    def times(self, t: Tensor, f: int) -> Tensor:
        return t.repeat(f) if t.ndim else t


@unseen(
    "wrapper",
    window=4,
    frames=(1, 3, 4, 7, 9),
    reference=lambda denoiser, x, t, cond: Windows(denoiser)(x, t, cond),
    factory=True,
)
class OffsetByTheTime(Windows):
    """Windows start elsewhere at each time, and the first frames stay uncovered."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        f = x.shape[2]
        if f <= self.size:
            return self.denoiser(x, t, cond)
        first = int(7.0 * float(t.reshape(-1)[0])) % 2
        part = slice(first, None)
        rest = super().__call__(x[:, :, part], t, self.cut(cond, part))
        return torch.cat([x[:, :, :first], rest], 2)


@unseen(
    "wrapper",
    identity=False,
    reference=partial(wrappers.corrected, postprocessor=GaussianSmoothing(1.0)),
    factory=True,
)
class CorrectedTwice(Passing):
    """The postprocessor is put on x_0 twice."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        smooth = GaussianSmoothing(1.0)
        return smooth(smooth(self.denoiser(x, t, cond)))
