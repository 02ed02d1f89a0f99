"""How a GPU computes a training step, on the meta device: attention in one kernel, and mixed precision.

torch's autocast knows no meta device, and its list for processors is not that for GPUs. Of the GPU's list
(https://docs.pytorch.org/docs/stable/amp.html) these functions are what the networks here call:

    to the lower precision   convolutions, linear layers, matrix products, attention
    to float32               normalisation, softmax
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["GpuStep"]

_LOWER = {
    F.conv1d, F.conv2d, F.conv3d, F.conv_transpose2d, F.conv_transpose3d, F.linear, F.scaled_dot_product_attention,
    torch.conv1d, torch.conv2d, torch.conv3d, torch.matmul, torch.bmm, torch.baddbmm, torch.mm, torch.addmm,
    Tensor.matmul, Tensor.bmm, Tensor.__matmul__,
}  # fmt: skip
_FLOAT32 = {
    F.group_norm,
    F.layer_norm,
    torch.group_norm,
    torch.layer_norm,
    F.softmax,
    torch.softmax,
    Tensor.softmax,
}


class GpuStep(TorchFunctionMode):
    """While it is entered, meta tensors take the dtypes and the attention kernel that a GPU would give them.

    Args:
        dtype: of autocast; None computes in the tensors' own.
        cast: is called with each lower copy of a weight, of those that are not trained, too.
    """

    def __init__(
        self, dtype: torch.dtype | None = None, cast: Callable[[Tensor], None] | None = None
    ) -> None:
        super().__init__()
        self._dtype, self._on_cast = dtype, cast
        self._cast: dict[int, Tensor] = {}

    def forget(self) -> None:
        """Drop the lower copies of weights, as autocast does at the end of its block."""
        self._cast.clear()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._dtype is not None and func in _LOWER:
            args, kwargs = self._mapped(self._lower, args, kwargs)
        elif self._dtype is not None and func in _FLOAT32:
            args, kwargs = self._mapped(_float32, args, kwargs)
        if func is F.scaled_dot_product_attention and len(args) == 3 and not kwargs:
            q, k, v = args
            return torch.ops.aten._scaled_dot_product_efficient_attention(
                q, k, v, None, torch.is_grad_enabled()
            )[0]
        return func(*args, **kwargs)

    @staticmethod
    def _mapped(cast: Callable[[Any], Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
        return tuple(map(cast, args)), {name: cast(value) for name, value in kwargs.items()}

    def _lower(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        trained = value.is_leaf and value.requires_grad
        # autocast keeps no copy of a weight that is not trained; one that is gathered is there in the lower precision.
        if not trained and (self._on_cast is None or not isinstance(value, nn.Parameter)):
            return value.to(self._dtype)
        if id(value) not in self._cast:  # a weight: its copy serves the whole forward
            self._cast[id(value)] = value.to(self._dtype)
            if self._on_cast is not None:
                self._on_cast(self._cast[id(value)])
        return self._cast[id(value)]


def _float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
