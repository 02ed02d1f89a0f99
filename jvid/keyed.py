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
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jvid.errors import InputError

__all__ = ["check_seeds", "keyed_normal", "keyed_uniform"]

Key = tuple[int | str, ...]
"""What a draw is for, such as ``(step index, name)``; the seed comes before it."""


def check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Non-negative integers of any width, as Python ints; anything else raises ``InputError``."""
    try:
        whole = tuple(operator.index(seed) for seed in seeds)
    except TypeError:
        raise InputError(f"seeds {seeds!r}: expected a sequence of non-negative integers") from None
    if not whole or min(whole) < 0:
        raise InputError(f"seeds {list(whole)}: expected at least one, each a non-negative integer")
    return whole


def _raw(seed: int, key: Key, count: int) -> np.ndarray:
    """``count`` words (uint64) of the stream of ``(seed, *key)``."""
    # Tag and length before each part keep (1, "a") apart from ("1a",), and 1 from 1 + 2^64.
    digest = hashlib.blake2b(digest_size=16)
    for part in (seed, *key):
        if isinstance(part, str):
            data, tag = part.encode(), b"s"
        else:
            data, tag = part.to_bytes((part.bit_length() + 7) // 8, "little"), b"i"
        digest.update(tag + len(data).to_bytes(8, "little") + data)
    words = np.frombuffer(digest.digest(), dtype="<u8").astype(np.uint64)
    raw: np.ndarray = np.random.Philox(key=words, counter=0).random_raw(count)
    return raw


def keyed_uniform(seed: int, key: Key) -> float:
    """One number of U[0, 1) that depends on ``(seed, *key)`` alone."""
    return float(_raw(seed, key, 1)[0] >> np.uint64(11)) * 2.0**-53


def _fill(out: Tensor, seed: int, key: Key) -> None:
    """Write N(0, 1) into a contiguous ``(n,)`` tensor on the CPU, cosines first, then sines."""
    half = (out.numel() + 1) // 2
    words = _raw(seed, key, half).astype("<u8", copy=False).view("<u4")
    # torch's functions are several times as fast as numpy's, numpy's products cheaper to call, and
    # contiguous halves faster than pairs. Both see the same memory; products round alike in both.
    radius, angle = words[:half].astype(np.float64), words[half:].astype(np.float64)
    radius += 1.0
    radius *= 2.0**-32
    torch.from_numpy(radius).log_()
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle *= 2.0 * math.pi * 2.0**-32
    cosine = torch.from_numpy(angle).cos().numpy()
    torch.from_numpy(angle).sin_()
    cosine *= radius
    angle *= radius
    out[:half].copy_(torch.from_numpy(cosine))
    out[half:].copy_(torch.from_numpy(angle)[: out.numel() - half])


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
    out = torch.empty(len(seeds), math.prod(shape), dtype=dtype)
    for row, seed in zip(out, seeds, strict=True):
        _fill(row, seed, key)
    return out.view(len(seeds), *shape).to(device=device)
