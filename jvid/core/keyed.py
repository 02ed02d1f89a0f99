"""Keyed randomness: a draw is a function of its key, never of what was drawn before.

    key    = blake2b-128(seed, *key)             seed and key encoded without ambiguity, full width
    raw    = Philox4x64-10(key), counter from 0  64-bit words; numpy promises this stream
    u, v   = 32-bit halves 2^-32                 u moved to (0, 1], v in [0, 1)
    z, z'  = sqrt(-2 ln u) (cos, sin)(2 pi v)    Box-Muller, float64, cast last; |z| < 6.7

So the noise of a clip at a step is the same in any batch, in any order, on any number of
processes. ``torch.Generator`` is not used: on the CPU it keeps 32 bits of its seed; numpy's
``standard_normal`` is not used: numpy does not promise its stream.
"""

from __future__ import annotations

import hashlib
import math
import operator
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jvid.errors import InputError

__all__ = ["check_seeds", "keyed_normal", "keyed_uniform", "keyed_uniforms"]

Key = tuple[int | str, ...]
"""What a draw is for, such as ``(step index, name)``; the seed comes before it."""


_CPU = ("cpu", torch.device("cpu"))


def check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Non-negative integers of any width, as Python ints; anything else raises ``InputError``."""
    try:
        whole = tuple(operator.index(seed) for seed in seeds)
    except TypeError:
        raise InputError(f"seeds {seeds!r}: expected a sequence of non-negative integers") from None
    if not whole or min(whole) < 0:
        raise InputError(f"seeds {list(whole)}: expected at least one, each a non-negative integer")
    return whole


class _Philox(threading.local):
    """One generator a thread, given a key and counter 0 before each use: ten times as cheap as a new one."""

    def __init__(self) -> None:
        self._bits = np.random.Philox(0)
        self._state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": np.zeros(4, np.uint64), "key": np.zeros(2, np.uint64)},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,  # the end: nothing of an earlier stream is left over
            "has_uint32": 0,
            "uinteger": 0,
        }

    def at(self, key: np.ndarray) -> np.random.Philox:
        """The generator at the start of the stream of ``key``, two words."""
        self._state["state"]["key"] = key
        self._bits.state = self._state
        return self._bits


_philox = _Philox()


@lru_cache(4096)
def _encoded(part: int | str) -> bytes:
    """Tag and length before each part keep (1, "a") apart from ("1a",), and 1 from 1 + 2^64."""
    if isinstance(part, str):
        data, tag = part.encode(), b"s"
    else:
        data, tag = part.to_bytes((part.bit_length() + 7) // 8, "little"), b"i"
    return tag + len(data).to_bytes(8, "little") + data


def _stream(seed: int, key: Key) -> np.random.Philox:
    """The thread's generator at the start of the stream of ``(seed, *key)``."""
    digest = hashlib.blake2b(b"".join(map(_encoded, (seed, *key))), digest_size=16).digest()
    return _philox.at(np.frombuffer(digest, dtype="<u8").astype(np.uint64, copy=False))


def _raw(seed: int, key: Key, count: int) -> np.ndarray:
    """``count`` words (uint64) of the stream of ``(seed, *key)``."""
    raw: np.ndarray = _stream(seed, key).random_raw(count)
    return raw


def keyed_uniform(seed: int, key: Key) -> float:
    """One number of U[0, 1) that depends on ``(seed, *key)`` alone."""
    return (_stream(seed, key).random_raw() >> 11) * 2.0**-53


def keyed_uniforms(seed: int, key: Key, count: int) -> list[float]:
    """``count`` numbers of U[0, 1); the i-th is ``keyed_uniform(seed, (*key, i))``, whatever the count."""
    return [keyed_uniform(seed, (*key, index)) for index in range(count)]


def _fill(out: np.ndarray, seed: int, key: Key) -> None:
    """Write N(0, 1) into a contiguous ``(n,)``, cosines first, then sines."""
    count = len(out)
    half = (count + 1) // 2
    values = _raw(seed, key, half).astype("<u8", copy=False).view("<u4").astype(np.float64)
    radius, angle = values[:half], values[half:]
    # Both libraries see the same memory. torch's logarithm and cosine are several times as fast as numpy's; its
    # square root is not rounded correctly everywhere, and its products cost more to call.
    radius += 1.0
    radius *= 2.0**-32
    torch.from_numpy(radius).log_()
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle *= 2.0 * math.pi * 2.0**-32
    angles = torch.from_numpy(angle)
    cosine = angles.cos().numpy()
    cosine *= radius
    out[:half] = cosine
    angles.sin_()
    angle *= radius
    out[half:] = angle[: count - half]


def keyed_normal(
    seeds: Sequence[int],
    key: Key,
    shape: Sequence[int],
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Standard normal ``(len(seeds), *shape)``; sample b depends on ``(seeds[b], *key)`` alone.

    Args:
        seeds: one non-negative integer a sample, of any width (1 and 1 + 2^64 differ).
        key: integers and names; each key has a stream of its own.
        shape: of one sample, without the batch.
        dtype: the float64 values are cast to it last.
        device: the values are made on the CPU, so that every device gets the same.

    Raises:
        InputError: a seed is negative or not an integer.
    """
    seeds = check_seeds(seeds)
    out = np.empty((len(seeds), math.prod(shape)), np.float32 if dtype == torch.float32 else np.float64)
    for row, seed in zip(out, seeds, strict=True):
        _fill(row, seed, key)
    made = torch.from_numpy(out.reshape(len(seeds), *shape))
    return made if made.dtype == dtype and device in _CPU else made.to(device, dtype)
