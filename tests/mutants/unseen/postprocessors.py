"""Postprocessors with a slip."""

from __future__ import annotations

import math
from functools import partial

import attrs
import torch
from torch import Tensor

from jvid.testing.references import postprocessors
from tests.mutants.unseen import unseen


def _weighted(x: Tensor, weights: list[float], edge: str = "edge") -> Tensor:
    """A filter over frames; beyond the ends they repeat, or are mirrored."""
    f, radius = x.shape[2], len(weights) // 2
    first, out = x[:, :, :1].double(), torch.zeros_like(x, dtype=torch.float64)
    for i in range(f):
        for k, weight in enumerate(weights):
            at = i + k - radius
            at = min(max(at, 0), f - 1) if edge == "edge" else _mirrored(at, f)
            out[:, :, i] += weight * (x[:, :, at].double() - first[:, :, 0])
    return (first + out).to(x.dtype)


def _mirrored(at: int, f: int) -> int:
    while not 0 <= at < f:
        at = -at if at < 0 else 2 * (f - 1) - at
        if f == 1:
            return 0
    return at


@attrs.frozen
class _Temporal:
    threshold: float = 2.0

    def deviation(self, mu: Tensor) -> Tensor:
        return mu.std(dim=(-2, -1), keepdim=True, correction=0)

    def total(self, v: Tensor) -> Tensor:
        return v.sum(1, keepdim=True)

    def still(self, x: Tensor) -> Tensor:
        return x[:, :, :1] + (x - x[:, :, :1]).mean(2, keepdim=True)

    def __call__(self, x: Tensor) -> Tensor:
        s = x.to(torch.promote_types(x.dtype, torch.float32))
        mu = self.still(s)
        moved = (s - mu).abs()
        v = torch.where(moved > 0, moved / self.deviation(mu), torch.zeros_like(moved))
        return torch.where(self.total(v) < self.threshold, mu.to(x.dtype), x)


@unseen("postprocessor", reference=postprocessors.temporal, ranges={"threshold": (0.0, 6.0)})
class SampleDeviation(_Temporal):
    """The deviation is the sample's, over n - 1."""

    def deviation(self, mu: Tensor) -> Tensor:
        n = mu.shape[-1] * mu.shape[-2]
        return super().deviation(mu) * (math.sqrt(n / (n - 1)) if n > 1 else 1.0)


@unseen("postprocessor", reference=postprocessors.temporal, ranges={"threshold": (0.0, 6.0)})
class MeanOfChannels(_Temporal):
    """Motion is averaged over channels, and not summed."""

    def total(self, v: Tensor) -> Tensor:
        return v.mean(1, keepdim=True)


@unseen("postprocessor", reference=postprocessors.temporal, ranges={"threshold": (0.0, 6.0)})
class MedianFrame(_Temporal):
    """A latent at rest becomes the median over time."""

    def still(self, x: Tensor) -> Tensor:
        return x.median(2, keepdim=True).values


@unseen("postprocessor", reference=postprocessors.temporal, ranges={"threshold": (0.0, 6.0)})
class OneDeviationForAll(_Temporal):
    """One deviation over all channels together."""

    def deviation(self, mu: Tensor) -> Tensor:
        return mu.std(dim=(1, -2, -1), keepdim=True, correction=0)


@unseen("postprocessor", reference=postprocessors.gaussian)
class HalfMissing:
    """exp(-(k / std)^2), the half of the exponent forgotten."""

    def __call__(self, x: Tensor) -> Tensor:
        weights = [math.exp(-float(k * k)) for k in range(-4, 5)]
        return _weighted(x, [each / math.fsum(weights) for each in weights])


@unseen("postprocessor", reference=postprocessors.uniform)
class MirroredEnds:
    """Frames beyond the ends are mirrored, and not the end frame again."""

    def __call__(self, x: Tensor) -> Tensor:
        return _weighted(x, [1.0 / 3.0] * 3, "mirror")


@unseen("postprocessor", reference=postprocessors.uniform)
class OfThePast:
    """The mean of a frame and the two before it, not of its neighbours."""

    def __call__(self, x: Tensor) -> Tensor:
        return _weighted(x, [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0, 0.0])


@unseen("postprocessor", reference=partial(postprocessors.uniform, size=5))
class HalfAWindow:
    """The window reaches size // 2 - 1 frames to each side."""

    def __call__(self, x: Tensor) -> Tensor:
        return _weighted(x, [1.0 / 3.0] * 3)
