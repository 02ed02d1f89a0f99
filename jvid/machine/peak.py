"""The most bytes of tensors that live at once while something runs.

    peak = max over time of   sum of the storages that were made since the start and are still held

Storages, not tensors: views cost nothing, and what was there before (weights, inputs) is not counted. What an operation
takes for itself between its start and its end is not seen. On CUDA the allocator knows, that included.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["peak_bytes"]


def peak_bytes(run: Callable[[], object], device: torch.device | str = "cpu") -> int:
    """Bytes on the device that ``run`` needs at its highest, beyond what there is at its start."""
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        most: int = torch.cuda.max_memory_allocated(device)
        return most - before
    live = _Live()
    with live:
        run()
    return live.peak


class _Live(TorchDispatchMode):
    """Follows storages by their address from the operation that made them until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._now = 0
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        for storage in _storages((args, kwargs)):
            if storage._cdata not in self._known:
                self._add(storage, 0)  # it was there before: not ours
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            if storage._cdata not in self._known:
                self._add(storage, storage.nbytes())
        self.peak = max(self.peak, self._now)
        return out

    def _add(self, storage: torch.UntypedStorage, size: int) -> None:
        address = storage._cdata

        def freed(_: object) -> None:
            # The address may be the next storage's.
            _, held = self._known.pop(address)
            self._now -= held

        self._known[address] = (weakref.ref(storage, freed), size)
        self._now += size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
