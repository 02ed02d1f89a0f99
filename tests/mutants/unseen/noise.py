"""Noise samplers with a slip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.testing.references import noise
from tests.mutants.unseen import unseen


@attrs.frozen
class _Independent:
    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return float(i == j)


@unseen("noise", reference=partial(noise.progressive, alpha=2.0))
@attrs.frozen
class WeightsThatAddUp:
    """Weights a / (1 + a) and 1 / (1 + a), which add up to 1, and not their squares."""

    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return float((2.0 / 3.0) ** abs(i - j))

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        frames: list[Tensor] = []
        for own in draw("z", shape).unbind(2):
            frames.append(own if not frames else (2.0 * frames[-1] + own) / 3.0)
        return torch.stack(frames, 2)


@unseen("noise", reference=partial(noise.mixed, alpha=1.0))
@attrs.frozen
class SharedByChannels:
    """The shared part is one for all channels."""

    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return 1.0 if i == j else 0.5

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        b, _, _, h, w = shape
        return math.sqrt(0.5) * (draw("shared", (b, 1, 1, h, w)) + draw("own", shape))


@unseen("noise", reference=partial(noise.shared, ratio=0.5))
@attrs.frozen
class SharedByClips:
    """The shared part of the first clip is every clip's."""

    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return 1.0 if i == j else 0.5

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        b, c, _, h, w = shape
        return math.sqrt(0.5) * (draw("shared", (b, c, 1, h, w))[:1] + draw("own", shape))


@unseen("noise", reference=partial(noise.independent))
class Normalised(_Independent):
    """Each clip's noise is brought to mean 0 and deviation 1."""

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        z = draw("z", shape)
        if z[0].numel() < 2:
            return z
        mean, std = z.mean((1, 2, 3, 4), keepdim=True), z.std((1, 2, 3, 4), keepdim=True)
        return torch.where(std > 0, (z - mean) / std, z)


@unseen("noise", reference=partial(noise.independent))
class Antithetic(_Independent):
    """Every second frame is the negative of the one before."""

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        z = draw("z", shape).clone()
        z[:, :, 1::2] = -z[:, :, : 2 * (shape[2] // 2) : 2]
        return z


@unseen("noise", reference=partial(noise.progressive, alpha=1.0))
@attrs.frozen
class RoundAboutFrames:
    """The first frame goes on from the last, as frames roll round."""

    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return float(0.5 ** (abs(i - j) / 2))

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        z = draw("z", shape)
        return math.sqrt(0.5) * (z + z.roll(1, 2)) if shape[2] > 1 else z


@unseen("noise", reference=partial(noise.independent))
class SmallClips(_Independent):
    """Drawn at half the size and repeated, as noise that is upsampled."""

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        b, c, f, h, w = shape
        small = draw("z", (b, c, f, (h + 1) // 2, (w + 1) // 2))
        return small.repeat_interleave(2, 3).repeat_interleave(2, 4)[..., :h, :w].contiguous()


@unseen("noise", reference=partial(noise.independent))
class NegativeForOddSeeds(_Independent):
    """Cut at three deviations, as truncated normals are."""

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        return draw("z", shape).clamp(-3.0, 3.0)
