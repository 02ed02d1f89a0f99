"""State that belongs to the whole process, watched while a subject runs, and put back after it.

Generators (torch's, numpy's, random's), torch's default dtype, grad mode and its choice of
deterministic algorithms. A component that changes one of them makes the result of a run depend on what ran before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["watched"]


def _set_numpy(state: Any) -> None:
    np.random.set_state(state)  # noqa: NPY002 - the global generator is what is guarded


_STATES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's random generator": (torch.get_rng_state, torch.set_rng_state),
    "numpy's random generator": (lambda: np.random.get_state(), _set_numpy),  # noqa: NPY002
    "Python's random generator": (random.getstate, random.setstate),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's grad mode": (torch.is_grad_enabled, torch._C._set_grad_enabled),
    "torch's choice of deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
}


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, two)
    if isinstance(one, tuple) and len(one) == len(two):
        return all(map(_same, one, two))
    return bool(one == two)


@contextmanager
def watched(report: Callable[[str], None]) -> Iterator[None]:
    """Restore what the block changes of the process's state, and call ``report`` with the name of each change."""
    before = {name: read() for name, (read, _) in _STATES.items()}
    try:
        yield
    finally:
        for name, (read, write) in _STATES.items():
            if not _same(before[name], read()):
                write(before[name])
                report(name)
