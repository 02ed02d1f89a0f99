"""The precision that networks compute in: autocast, and of fp16 the scale of the loss.

fp16    gradients of  s L,  s as large as they stay finite: halved after an overflow, whose step is left out,
        and doubled after 2,000 steps without one (torch.amp.GradScaler)
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

__all__ = ["DTYPES", "Precision"]

DTYPES: Mapping[str, torch.dtype | None] = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Recipes' precisions."""


class Precision:
    """Autocast and loss scale of a run on a device; ``name`` is "no" (float32), "bf16" or "fp16"."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.name, self._device = name, device.type
        self.dtype: torch.dtype | None = DTYPES[name]
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    def autocast(self) -> AbstractContextManager[Any]:
        """The network computes in this precision within the block."""
        return nullcontext() if self.dtype is None else torch.autocast(self._device, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the scaled loss."""
        self._scaler.scale(loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the scale out of the gradients."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Step where the gradients are finite, and adapt the scale."""
        self._scaler.step(optimizer)
        self._scaler.update()

    @property
    def scaled(self) -> bool:
        """Whether the loss is scaled."""
        return self._scaler.is_enabled()

    @property
    def can_overflow(self) -> bool:
        """Whether a non-finite gradient may come from the scale of the loss, which the next step takes lower."""
        return self._scaler.is_enabled() and self._scaler.get_scale() > 1

    def state(self) -> dict[str, float]:
        """The scale, for a checkpoint; empty where there is none."""
        return dict(self._scaler.state_dict())

    def load(self, state: dict[str, float]) -> None:
        """Go on from a checkpoint's scale; one of another precision has none."""
        if self._scaler.is_enabled() and state:
            self._scaler.load_state_dict(state)
