"""Noise samplers: equations (8) and (9), gamma, and what they declare against what they draw."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid.keyed import keyed_normal
from jvid.noise import DeclaredNoise, IndependentNoise, ScaledNoise, SharedNoise
from jvid.protocols import NoiseSampler

SAMPLERS = [
    IndependentNoise(),
    SharedNoise(0.0),
    SharedNoise(0.3),
    SharedNoise(1.0),
    ScaledNoise(IndependentNoise(), 0.1),
    ScaledNoise(SharedNoise(0.5), 2.0),
    ScaledNoise(IndependentNoise(), 0.0),
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


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
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
