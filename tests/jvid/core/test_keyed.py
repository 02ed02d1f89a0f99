"""Keyed randomness: frozen values, full keys, independence of batch and order, moments."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.keyed import _raw, keyed_normal, keyed_uniform
from jvid.errors import InputError

SEEDS = st.integers(0, 2**130)


def test_streams_are_frozen() -> None:
    """Golden values: if this fails, every seed of every user gives another clip. Do not update it."""
    assert _raw(0, (0, "z", "independent"), 3).tolist() == GOLDEN_RAW
    assert keyed_uniform(7, ("plan", 3)) == GOLDEN_UNIFORM
    values = keyed_normal([1 + 2**64], (3, "z"), (5,), torch.float64)[0]
    # libm may differ in the last bit between machines; the words may not.
    np.testing.assert_allclose(values.numpy(), GOLDEN_NORMAL, rtol=1e-12)


def test_box_muller_against_its_definition() -> None:
    words = [half for word in _raw(5, (1, "a"), 3) for half in (int(word) & 0xFFFFFFFF, int(word) >> 32)]
    pairs = [
        (math.sqrt(-2 * math.log((u + 1) / 2**32)), 2 * math.pi * v / 2**32)
        for u, v in zip(words[:3], words[3:], strict=True)
    ]
    expected = [r * math.cos(angle) for r, angle in pairs] + [r * math.sin(angle) for r, angle in pairs]
    for count in (5, 6):  # an odd count drops the last sine
        got = keyed_normal([5], (1, "a"), (count,), torch.float64)
        np.testing.assert_allclose(got.numpy().ravel(), expected[:count], rtol=1e-12)


def test_streams_do_not_meet_in_the_generator_that_they_share() -> None:
    """One Philox a thread is set anew for each draw: neither what came before nor other threads are seen."""
    keys = [(index, "z") for index in range(40)]
    alone = {}
    for key in keys:
        words = np.random.Philox(key=_digest(3, key), counter=0).random_raw(37)
        assert _raw(3, key, 37).tolist() == words.tolist()
        alone[key] = keyed_normal([3], key, (1001,))
    _raw(5, (0,), 3)  # leaves words of its block behind
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda key: keyed_normal([3], key, (1001,)), keys * 5))
    for key, z in zip(keys * 5, drawn, strict=True):
        assert torch.equal(z, alone[key])


def _digest(seed: int, key: tuple[int, str]) -> np.ndarray:
    data = b""
    for part in (seed, *key):
        tag, body = (b"s", part.encode()) if isinstance(part, str) else (b"i", bytes([part]).strip(b"\0"))
        data += tag + len(body).to_bytes(8, "little") + body
    return np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), "<u8").astype(np.uint64)


@given(st.lists(SEEDS, min_size=1, max_size=4), st.integers(0, 999), st.tuples(*[st.integers(1, 3)] * 4))
def test_a_sample_depends_on_its_own_seed_alone(seeds: list[int], index: int, shape: tuple[int, ...]) -> None:
    together = keyed_normal(seeds, (index, "z"), shape)
    assert together.shape == (len(seeds), *shape)
    backwards = keyed_normal(seeds[::-1], (index, "z"), shape).flip(0)
    assert torch.equal(together, backwards)
    for row, seed in zip(together, seeds, strict=True):
        assert torch.equal(row, keyed_normal([seed], (index, "z"), shape)[0])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((1, (0, "z")), (1 + 2**64, (0, "z"))),
        ((1, (0, "z")), (1 + 2**32, (0, "z"))),
        ((1, (0, "z")), (1 + 2**128, (0, "z"))),
        ((0, (1, "z")), (1, (0, "z"))),
        ((1, (2, "z")), (1 + (2 << 32), ("z",))),
        ((0, ("a", "bc")), (0, ("ab", "c"))),
        ((0, ("1",)), (0, (1,))),
        ((0, ("a",)), (0, ("a", ""))),
        ((0, (0,)), (0, (0, 0))),
    ],
)
def test_keys_do_not_collide(one: tuple[int, tuple], two: tuple[int, tuple]) -> None:
    assert not torch.equal(keyed_normal([one[0]], one[1], (4,)), keyed_normal([two[0]], two[1], (4,)))


def test_torch_and_numpy_global_generators_are_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = keyed_normal([0], (0,), (8,))
    torch.manual_seed(2)
    np.random.seed(3)  # noqa: NPY002
    assert torch.equal(first, keyed_normal([0], (0,), (8,)))
    torch.manual_seed(1)
    keyed_normal([0], (0,), (8,))
    assert torch.equal(before, torch.get_rng_state())


def test_moments_and_independence() -> None:
    n = 200_000
    a, b = keyed_normal([0, 1], (0, "z"), (n,), torch.float64)
    c = keyed_normal([0], (1, "z"), (n,), torch.float64)[0]
    for x in (a, b, c):
        assert abs(x.mean()) < 6 / n**0.5
        assert abs((x**2).mean() - 1) < 6 * (2 / n) ** 0.5
        assert abs((x**4).mean() - 3) < 6 * (96 / n) ** 0.5
    # Cosine and sine of a pair, seeds, steps.
    for x, y in ((a[: n // 2], a[n // 2 :]), (a, b), (a, c)):
        assert abs((x * y).mean()) < 6 / len(x) ** 0.5
    u = np.array([keyed_uniform(0, ("plan", i)) for i in range(4000)])
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 6 * (1 / 12 / 4000) ** 0.5


@pytest.mark.parametrize("seeds", [[], [-1], [0.5], ["1"], [None]])
def test_bad_seeds_are_refused(seeds: list) -> None:
    with pytest.raises(InputError, match="seeds"):
        keyed_normal(seeds, (0,), (2,))


GOLDEN_RAW = [3336610855636551709, 6827338509500572735, 4285374074760990039]
GOLDEN_UNIFORM = 0.015081870353428672
GOLDEN_NORMAL = [
    0.7323981699358135,
    1.3063129450006432,
    -0.08415348188902225,
    0.4786211054400756,
    -0.061045776427101024,
]
