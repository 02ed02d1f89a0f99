"""Wrong noise samplers: deviations taken for variances, correlations that are not the declared ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jvid.core.protocols import Draw
from tests.mutants import mutant, noise_draws  # noqa: F401 - it registers
from tests.mutants.noise_bases import Shared

MOMENTS = "normal_with_the_declared_deviation"


@mutant("noise", MOMENTS)
class linear_mix(Shared):
    """Weights r and 1 - r, which are variances: the sum has variance r^2 + (1 - r)^2."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        b, c, _, h, w = shape
        return self.ratio * draw("shared", (b, c, 1, h, w)) + (1.0 - self.ratio) * draw("own", shape)


@mutant("noise", MOMENTS)
class divides_by_the_sum(Shared):
    """The sum of two draws is halved, where the root of 2 keeps its variance."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return (draw("one", shape) + draw("two", shape)) / 2.0


@mutant("noise", MOMENTS)
class gamma_squared(Shared):
    """A deviation of 0.8 that is applied as a variance."""

    std = 0.8

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return 0.8**2 * super().__call__(shape, draw)


@mutant("noise", MOMENTS)
class declared_too_little(Shared):
    """An offset is added and the deviation declared without it."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return super().__call__(shape, draw) + 0.5 * draw("offset", (*shape[:3], 1, 1))


@mutant("noise", MOMENTS)
class has_a_mean(Shared):
    """Frames drift: a mean that grows with the frame."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = super().__call__(shape, draw)
        return z + 0.1 * torch.arange(shape[2], dtype=z.dtype).reshape(1, 1, -1, 1, 1)


@mutant("noise", MOMENTS)
class not_normal(Shared):
    """Signs of normal numbers: the mean and variance of a normal, and nothing else of it."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return draw("own", shape).sign()


@mutant("noise", MOMENTS)
class standardised(Shared):
    """Each clip's noise is divided by its own deviation: small clips are no longer normal."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = draw("own", shape)
        return (z - z.mean((-1, -2), keepdim=True)) / z.std((-1, -2), keepdim=True)


CORRELATION = "frames_correlate_as_declared"


@mutant("noise", CORRELATION)
class shared_twice(Shared):
    """The shared part is drawn for each frame: frames do not correlate at all."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return math.sqrt(self.ratio) * draw("shared", shape) + math.sqrt(1.0 - self.ratio) * draw(
            "own", shape
        )


@mutant("noise", CORRELATION)
class root_of_the_ratio(Shared):
    """The correlation declared is the weight, not its square."""

    def correlation(self, i: int, j: int) -> float:
        return 1.0 if i == j else math.sqrt(self.ratio)


@mutant("noise", CORRELATION)
class only_neighbours(Shared):
    """The correlation declared falls with distance, that of the noise does not."""

    def correlation(self, i: int, j: int) -> float:
        return float(self.ratio ** abs(i - j))


@mutant("noise", CORRELATION)
class starts_at_zero(Shared):
    """A chain of frames whose first does not have the chain's variance."""

    ratio = 0.5

    def correlation(self, i: int, j: int) -> float:
        return float(0.5 ** abs(i - j))

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        own = draw("own", shape)
        frames = [own[:, :, 0]]
        for frame in own.unbind(2)[1:]:
            frames.append(math.sqrt(0.5) * frames[-1] + math.sqrt(0.5) * frame)
        return torch.stack(frames, dim=2)
