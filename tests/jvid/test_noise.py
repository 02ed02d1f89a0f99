"""Noise samplers: equations (8) and (9), gamma, and what they declare against what they draw."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.core.protocols import NoiseSampler
from jvid.errors import InputError
from jvid.noise import (
    DeclaredNoise,
    IndependentNoise,
    MixedNoise,
    OffsetNoise,
    ProgressiveNoise,
    ScaledNoise,
    SharedNoise,
)

SAMPLERS = [
    IndependentNoise(),
    SharedNoise(0.0),
    SharedNoise(0.3),
    SharedNoise(1.0),
    ScaledNoise(IndependentNoise(), 0.1),
    ScaledNoise(SharedNoise(0.5), 2.0),
    ScaledNoise(IndependentNoise(), 0.0),
    MixedNoise(0.0),
    MixedNoise(2.0),
    ProgressiveNoise(0.0),
    ProgressiveNoise(1.5),
    ScaledNoise(ProgressiveNoise(1.0), 0.3),
]
OFFSETS = [
    OffsetNoise(0.5),
    OffsetNoise(0.7, SharedNoise(0.3)),
    OffsetNoise(1.0, frames="own"),
    OffsetNoise(0.0),
]


def drawer(seeds: Sequence[int]):
    def draw(name: str, shape: Sequence[int]) -> Tensor:
        assert shape[0] == len(seeds)
        return keyed_normal(seeds, (0, name), shape[1:], torch.float64)

    return draw


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_mean_deviation_and_correlation_are_the_declared_ones(sampler: DeclaredNoise) -> None:
    assert isinstance(sampler, NoiseSampler)
    f, n = 4, 60_000
    z = sampler((1, 2, f, n // 200, 100), drawer([11]))[0].movedim(1, 0).reshape(f, n)
    if sampler.std == 0:
        assert not z.any()
        return
    z = z / sampler.std
    for i in range(f):
        assert abs(z[i].mean()) < 6 / n**0.5
        for j in range(f):
            # Var(z_i z_j) = 1 + rho^2 for jointly normal z.
            rho = sampler.correlation(i, j)
            assert abs((z[i] * z[j]).mean() - rho) < 6 * ((1 + rho**2) / n) ** 0.5, (i, j)


@pytest.mark.parametrize("sampler", OFFSETS, ids=repr)
def test_offsets_have_the_declared_deviation_and_correlation(sampler: DeclaredNoise) -> None:
    # One pixel of many clips: pixels of one clip share their offset.
    f, n = 3, 4000
    z = sampler((n, 2, f, 1, 1), drawer(range(n)))[..., 0, 0].movedim(2, 0).flatten(1) / sampler.std
    for i in range(f):
        assert abs(z[i].mean()) < 6 / (2 * n) ** 0.5
        for j in range(f):
            rho = sampler.correlation(i, j)
            assert abs((z[i] * z[j]).mean() - rho) < 6 * ((1 + rho**2) / (2 * n)) ** 0.5, (i, j)
    pixels = sampler((1, 1, 1, 8, 8), drawer([3]))
    expected = OffsetNoise(0.0)((1, 1, 1, 8, 8), drawer([3])) if sampler.inner == IndependentNoise() else None
    if expected is not None:
        assert (pixels - expected).std() < 1e-12  # one number for all pixels


@pytest.mark.parametrize("sampler", [*SAMPLERS, *OFFSETS], ids=repr)
def test_a_slice_of_a_batch_is_a_batch_of_one(sampler: DeclaredNoise) -> None:
    z = sampler((3, 4, 5, 2, 3), drawer([3, 1, 4]))
    assert z.shape == (3, 4, 5, 2, 3)
    for row, seed in zip(z, [3, 1, 4], strict=True):
        assert torch.equal(row, sampler((1, 4, 5, 2, 3), drawer([seed]))[0])


def test_ends_of_the_ratio() -> None:
    shape, draw = (2, 4, 5, 2, 3), drawer([0, 1])
    assert torch.equal(SharedNoise(0.0)(shape, draw), IndependentNoise()(shape, draw))
    still = SharedNoise(1.0)(shape, draw)
    assert torch.equal(still, still[:, :, :1].expand_as(still))
    assert torch.equal(ScaledNoise(SharedNoise(0.4), 1.0)(shape, draw), SharedNoise(0.4)(shape, draw))
    # The shared part is one draw, whatever the frames: cutting the clip keeps it.
    assert torch.equal(still[:, :, :2], SharedNoise(1.0)((2, 4, 2, 2, 3), draw))


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_bad_ratio(ratio: float) -> None:
    with pytest.raises(InputError, match=f"ratio {ratio}.*expected 0"):
        SharedNoise(ratio)


@pytest.mark.parametrize("gamma", [-0.1, float("inf"), float("nan")])
def test_bad_gamma(gamma: float) -> None:
    with pytest.raises(InputError, match=f"gamma {gamma}.*expected"):
        ScaledNoise(IndependentNoise(), gamma)


@pytest.mark.parametrize(
    "make",
    [lambda: MixedNoise(-1.0), lambda: ProgressiveNoise(float("nan")), lambda: OffsetNoise(-0.1),
     lambda: OffsetNoise(0.1, frames="all")],
)  # fmt: skip
def test_values_that_are_refused(make) -> None:
    with pytest.raises(InputError):
        make()


def test_progressive_noise_goes_on_from_frame_to_frame() -> None:
    shape, draw = (2, 4, 5, 2, 3), drawer([0, 1])
    assert torch.equal(ProgressiveNoise(1.0)(shape, draw)[:, :, 0], IndependentNoise()(shape, draw)[:, :, 0])
    short = ProgressiveNoise(1.0)((2, 4, 1, 2, 3), draw)
    assert short.shape == (2, 4, 1, 2, 3)
