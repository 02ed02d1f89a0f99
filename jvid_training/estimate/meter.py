"""Floating-point operations and live bytes of what runs within a block, on any device, "meta" among them.

Operations are counted by torch's own formulas (``torch.utils.flop_counter.flop_registry``): two for each multiply-add of matrix
products, convolutions and attention, and none for the rest. ``FlopCounterMode`` itself sets hooks on all modules, with which
`jvid_models.fast` hands over to diffusers' forward: it would count another network than the one that is trained.

A storage is live from the operation that returns it until nothing refers to it, autograd's graph included.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

__all__ = ["Meter"]

_aten = torch.ops.aten
# torch has no formula for the CPU's attention, which is the GPU's in other code.
_FORMULAS = {
    **flop_registry,
    _aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        _aten._scaled_dot_product_flash_attention
    ],
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        _aten._scaled_dot_product_flash_attention_backward
    ],
}


class Meter(TorchDispatchMode):
    """Counts while it is entered.

    Attributes:
        flops: operations so far.
        live: bytes of the live storages.
        peak: the most that ``live`` was.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        """``known`` tensors, such as weights, are not counted as live: they exist before and stay."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.live = self.peak = 0
        self._bytes: dict[int, int] = {}
        for tensor in known:
            self._bytes[tensor.untyped_storage()._cdata] = 0

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors that were made before."""
        for tensor in tensors:
            self._add(tensor.untyped_storage())

    def leave_out(self, tensor: Tensor) -> None:
        """Do not count a tensor from here on: it is part of what is counted elsewhere."""
        key = tensor.untyped_storage()._cdata
        self.live -= self._bytes[key]
        self._bytes[key] = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        for value in (out,) if isinstance(out, Tensor) else tree_iter(out):
            if isinstance(value, Tensor):
                self._add(value.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._bytes:
            return
        self._bytes[key] = storage.nbytes()
        self.live += self._bytes[key]
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.live -= self._bytes.pop(key)
