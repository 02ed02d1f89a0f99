"""Random streams of a batch are those that numpy makes one by one."""

from __future__ import annotations

import numpy as np
import pytest

from jvid_training.data.streams import first_uniform, generator, generators

SEEDS = (0, 3, (1 << 32) - 1, (1 << 33) + 7, (1 << 70) + 1)
STEPS = (0, 5, 1 << 32, 1 << 40)
PLACES = ([], [0], [3, 1, 2], list(range(7)), [(1 << 32) - 1], [1 << 32, 3], [(1 << 40) + 2])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("step", STEPS)
def test_generators_of_a_batch_are_those_of_its_places(seed: int, step: int) -> None:
    for places in PLACES:
        for place, found in zip(places, generators(seed, step, places), strict=True):
            bits = np.random.Philox(np.random.SeedSequence([seed, step, place]))
            assert repr(found.bit_generator.state) == repr(bits.state)
            expected = generator(seed, step, place)
            assert (found.integers(101), found.random()) == (expected.integers(101), expected.random())
            np.testing.assert_array_equal(
                found.standard_normal(9, np.float32), expected.standard_normal(9, np.float32)
            )


def test_a_generator_begins_anew_whatever_was_drawn_of_the_one_before() -> None:
    """An odd number of 32-bit draws leaves half a word behind."""
    first, second = generators(1, 2, [0, 1]), generator(1, 2, 1)
    next(first).integers(7, dtype=np.int32)
    np.testing.assert_array_equal(
        next(first).integers(7, size=5, dtype=np.int32), second.integers(7, size=5, dtype=np.int32)
    )


def test_what_a_step_shares_is_the_generators_first_number() -> None:
    assert first_uniform(3, 4, 1 << 40) == float(generator(3, 4, 1 << 40).random())


@pytest.mark.parametrize(("seed", "step", "places"), [(-1, 0, [0]), (0, -2, [0]), (0, 0, [3, -1])])
def test_negative_numbers_are_refused_as_by_one_generator(seed: int, step: int, places: list[int]) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        next(generators(seed, step, places))
    with pytest.raises(ValueError, match="non-negative"):
        generator(seed, step, min(places))
