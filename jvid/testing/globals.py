"""State that belongs to the whole process, watched while a subject runs, and put back after it.

Generators (torch's, numpy's, random's), torch's default dtype, grad mode and its choice of
deterministic algorithms. A component that changes one of them makes the result of a run depend on what ran before.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["watched"]


def _set_numpy(state: Any) -> None:
    np.random.set_state(state)  # noqa: NPY002 - the global generator is what is guarded


def _same_numpy(one: Any, two: Any) -> bool:
    """Two states: the name of the generator, its words and where it is in them."""
    return bool(one[0] == two[0] and np.array_equal(one[1], two[1]) and one[2:] == two[2:])


_STATES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any, Any], bool]]] = {
    "torch's random generator": (torch.get_rng_state, torch.set_rng_state, torch.equal),
    "numpy's random generator": (lambda: np.random.get_state(), _set_numpy, _same_numpy),  # noqa: NPY002
    "Python's random generator": (random.getstate, random.setstate, operator.eq),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype, operator.eq),
    "torch's grad mode": (torch.is_grad_enabled, torch._C._set_grad_enabled, operator.eq),
    "torch's choice of deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
        operator.eq,
    ),
}


@contextmanager
def watched(report: Callable[[str], None]) -> Iterator[None]:
    """Restore what the block changes of the process's state, and call ``report`` with the name of each change."""
    before = {name: read() for name, (read, _, _) in _STATES.items()}
    try:
        yield
    finally:
        for name, (read, write, same) in _STATES.items():
            if not same(before[name], read()):
                write(before[name])
                report(name)
