"""Denoisers with a slip, around the exact one of N(m, .5^2) with m from the text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.schedules import TabulatedSchedule
from tests.mutants.denoiser_bases import CONTEXT, Grey
from tests.mutants.unseen import unseen

TABLE = TabulatedSchedule.scaled_linear()


def exact(x: Tensor, t: Tensor, cond: Any) -> Tensor:
    """Bayes' rule."""
    alpha, sigma = (float(level) for level in TABLE(t))
    mean = cond["text"].mean(dim=(1, 2)).view(-1, 1, 1, 1, 1)
    return mean + alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * (x - alpha * mean)


def _of_networks(**more: Any) -> Any:
    return unseen("denoiser", **{**CONTEXT, **more}, reference=exact)


@_of_networks()
class FlooredTimesteps(Grey):
    """The timestep is an integer, rounded down: up to a thousandth of the time is lost."""

    def time(self, t: Tensor) -> Tensor:
        return (t * 1000).floor() / 1000


@_of_networks()
class TimestepsOf999(Grey):
    """t is multiplied by 999 and looked up at (n + 1) / 1000."""

    def time(self, t: Tensor) -> Tensor:
        return ((t * 999 + 1) / 1000).clamp(0.0, 1.0)


@_of_networks()
class TableInHalf(Grey):
    """alpha and sigma come of a table in float16."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        alpha, sigma = (level.half().double().view(-1, 1, 1, 1, 1) for level in TABLE(t.double()))
        gain = (alpha * 0.25 / (alpha**2 * 0.25 + sigma**2)).to(torch.promote_types(x.dtype, torch.float32))
        mean = self.mean(x, cond)
        return (mean + gain * (x.to(gain.dtype) - alpha.to(gain.dtype) * mean)).to(x.dtype)


@_of_networks()
class ScaledIn(Grey):
    """Latents are multiplied by the codec's factor on the way in, and not divided on the way out."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x * 0.8, t, cond)


@_of_networks()
class TextOfTheBatch(Grey):
    """The text is averaged over the batch."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        return super().mean(x, cond).mean(0, keepdim=True)


@_of_networks()
class FirstToken(Grey):
    """The first token of the text alone is read."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        return cond["text"][:, :1].mean(dim=(1, 2)).view(-1, 1, 1, 1, 1).to(super().mean(x, cond).dtype)


@_of_networks()
class ClippedPrediction(Grey):
    """x_0 is clipped to [-1, 1]: latents have a wider range."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond).clamp(-1.0, 1.0)


@_of_networks()
class SixteenFrames(Grey):
    """Frames behind the sixteenth have no text."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        there = (torch.arange(x.shape[2]) < 16).view(1, 1, -1, 1, 1)
        return super().mean(x, cond) * there


@_of_networks()
class DeviationOfOne(Grey):
    """Preconditioned for data of deviation 1, where it is .5."""

    std = 1.0


@_of_networks()
class VelocityOfTheOtherSign(Grey):
    """v is taken with the other sign: x_0 = alpha x + sigma v."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        x_0 = super().__call__(x, t, cond)
        alpha, sigma = (level.view(-1, 1, 1, 1, 1).to(x) for level in TABLE(t.double()))
        v = (alpha * x - x_0) / sigma.clamp_min(1e-6)
        return torch.where(sigma > 0, alpha * x + sigma * v, x_0)


@_of_networks()
class LastChannelsSwapped(Grey):
    """Height and width of square maps are exchanged on the way out."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        x_0 = super().__call__(x, t, cond)
        return x_0.transpose(-1, -2).contiguous() if x.shape[-1] == x.shape[-2] else x_0
