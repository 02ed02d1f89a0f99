"""What is logged of the steps since the last log: losses by level of noise, and the gradient's norm before clipping.

    band k of 10:  mean of the losses of samples with  k / 10 <= t < (k + 1) / 10,     t = 0 is data, t = 1 pure noise

The mean loss hides at which levels a network still learns: errors differ by a factor of a hundred between the two ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator  # curves are drawn without it

__all__ = ["BANDS", "NORM", "StepWatch", "Timed", "band_names"]

BANDS = 10
NORM = "grad_norm"


@runtime_checkable
class Timed(Protocol):
    """An objective whose samples have a level of noise each."""

    def times(self, batch: Mapping[str, Tensor]) -> Tensor:
        """t in [0, 1] of each of the losses that the objective has of a batch, of their shape."""
        ...


def band_names() -> tuple[str, ...]:
    """The names under which bands are logged: ``loss_t/0.0-0.1``."""
    return tuple(f"loss_t/{k / BANDS:.1f}-{(k + 1) / BANDS:.1f}" for k in range(BANDS))


class StepWatch:
    """Averages over steps, and over processes.

    Args:
        objective: of the run; one that is not `Timed` has no bands.
        accelerator: whose processes are averaged over.
    """

    def __init__(self, objective: object, accelerator: Accelerator) -> None:
        self._objective, self._accelerator = objective, accelerator
        self._begin()

    def _begin(self) -> None:
        self._sums = torch.zeros(2, BANDS, device=self._accelerator.device)
        self._norms: list[float] = []

    def add_losses(self, losses: Tensor, batch: Mapping[str, Tensor]) -> None:
        """Take in the losses of a batch; those that are not finite have no band."""
        if not isinstance(self._objective, Timed):
            return
        values, t = losses.detach().float().flatten(), self._objective.times(batch).flatten()
        finite = values.isfinite()
        band = (t * BANDS).long().clamp(0, BANDS - 1)
        self._sums[0].index_add_(0, band, values.where(finite, values.new_zeros(())))
        self._sums[1].index_add_(0, band, finite.float())

    def add_norm(self, norm: float) -> None:
        """Take in the norm of a step's gradient, which is the same in all processes; one that is not finite is left out."""
        if math.isfinite(norm):
            self._norms.append(norm)

    def take(self) -> dict[str, float]:
        """The averages since the last call, by name; all processes have to call it."""
        found: dict[str, float] = {}
        if self._norms:
            found = {NORM: sum(self._norms) / len(self._norms), f"{NORM}_max": max(self._norms)}
        if isinstance(self._objective, Timed):
            sums, counts = self._accelerator.reduce(self._sums, "sum").tolist()
            found |= {
                name: total / count
                for name, total, count in zip(band_names(), sums, counts, strict=True)
                if count
            }
        self._begin()
        return found
