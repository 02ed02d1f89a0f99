"""The random streams of samples: each has a counter-based generator of its own, so that no loader has a state to save.

    key = SeedSequence([seed, step, place in the global batch]).generate_state(2),      Philox from counter 0

numpy makes one such generator in the time that all draws of a sample take. `generators` hashes the places of a batch together,
by the algorithm of numpy's SeedSequence, and gives one generator their keys in turn: the numbers are the same.
Sources: M. E. O'Neill, "Developing a seed_seq alternative", 2015, https://www.pcg-random.org/posts/developing-a-seed_seq-alternative.html;
the constants are numpy's, whose streams are stable (NEP 19).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

__all__ = ["first_uniform", "generator", "generators"]

_MASK, _SHIFT = 0xFFFFFFFF, np.uint32(16)
_POOL = 4
_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_L, _MIX_R = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)


def generator(seed: int, step: int, place: int) -> np.random.Generator:
    """The generator of one sample; ``place`` is its index in the batch over all processes."""
    return np.random.Generator(np.random.Philox(_sequence(seed, step, place)))


@lru_cache(maxsize=256)
def first_uniform(seed: int, step: int, place: int) -> float:
    """The first number of a generator, uniform on [0, 1): what all samples of a step share is drawn once."""
    return float(generator(seed, step, place).random())


def generators(seed: int, step: int, places: Sequence[int]) -> Iterator[np.random.Generator]:
    """The generators of some samples of a step, in turn: one object, each time as `generator` makes it."""
    bits = np.random.Philox(0)
    random, state = np.random.Generator(bits), bits.state
    for key in _keys(seed, step, places):
        state["state"] = {"counter": _ZEROS, "key": key}
        bits.state = state
        yield random


_ZEROS = np.zeros(4, np.uint64)


def _sequence(seed: int, step: int, place: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, step, place])


def _keys(seed: int, step: int, places: Sequence[int]) -> np.ndarray:
    """The Philox key of each place ``(n, 2)`` uint64."""
    # Places of several words each are numpy's work, and so are negative numbers, which it refuses.
    if not places or max(places) > _MASK or min(seed, step, *places) < 0:
        each = [_sequence(seed, step, place).generate_state(2, np.uint64) for place in places]
        return np.array(each, np.uint64).reshape(-1, 2)
    entropy = [np.uint32(word) for number in (seed, step) for word in _words(number)]
    words = [np.full(len(places), word) for word in entropy] + [np.array(places, np.uint32)]
    hashed = _Hash(_INIT_A, _MULT_A)
    nothing = np.zeros(len(places), np.uint32)
    pool = [hashed(words[i] if i < len(words) else nothing) for i in range(_POOL)]
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                pool[target] = _mixed(pool[target], hashed(pool[source]))
    for word in words[_POOL:]:
        for target in range(_POOL):
            pool[target] = _mixed(pool[target], hashed(word))
    out = _Hash(_INIT_B, _MULT_B)
    return np.stack([out(value) for value in pool], 1).astype("<u4").view("<u8").astype(np.uint64)


class _Hash:
    """A hash of words whose constant changes with each call."""

    def __init__(self, constant: int, factor: int) -> None:
        self._constant, self._factor = constant, factor

    def __call__(self, words: np.ndarray) -> np.ndarray:
        words = words ^ np.uint32(self._constant)
        self._constant = self._constant * self._factor & _MASK
        words = words * np.uint32(self._constant)
        return words ^ (words >> _SHIFT)


def _mixed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    found: np.ndarray = one * _MIX_L - other * _MIX_R
    return found ^ (found >> _SHIFT)


def _words(number: int) -> list[int]:
    """A number in words of 32 bits, the lowest first; 0 is one word."""
    found = [number & _MASK]
    while number := number >> 32:
        found.append(number & _MASK)
    return found
