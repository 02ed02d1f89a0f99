"""The exponential moving average of a network's weights, by the parameters' names: what a run is exported with.

Of a sharded network each process averages its part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

__all__ = ["Average", "own_part"]


class Average:
    """The moving average of ``parameters``, by name."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._parameters = dict(parameters)
        self._model: Any = EMAModel(self._own(), decay=decay, foreach=True)

    @property
    def updates(self) -> int:
        """How many steps it has taken in; its decay grows with them."""
        return int(self._model.optimization_step)

    @updates.setter
    def updates(self, count: int) -> None:
        """Go on as after so many steps."""
        self._model.optimization_step = count

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of a step: what ``EMAModel.step`` does, in place and without a copy of the differences."""
        self._model.optimization_step += 1
        decay = self._model.get_decay(self._model.optimization_step)
        self._model.cur_decay_value = decay
        torch._foreach_lerp_(self._model.shadow_params, self._own(), 1 - decay)

    def named(self) -> dict[str, Tensor]:
        """The average by the parameters' names, sharded as they are; the next update changes these tensors."""
        pairs = zip(self._parameters.items(), self._model.shadow_params, strict=True)
        return {name: _sharded_as(shadow, parameter) for (name, parameter), shadow in pairs}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters have the averaged values within the block."""
        own = [part.detach() for part in self._own()]
        before = [part.clone() for part in own]
        self._model.copy_to(own)
        try:
            yield
        finally:
            torch._foreach_copy_(own, before)

    def _own(self) -> list[Any]:
        """The parameters, or this process's parts of them: sharded tensors lack some of the operations."""
        return [own_part(parameter) for parameter in self._parameters.values()]


def own_part(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor, in the same memory; any other as it is."""
    local = getattr(tensor.detach(), "to_local", None)
    return tensor if local is None else local().requires_grad_(tensor.requires_grad)


def _sharded_as(part: Tensor, tensor: Tensor) -> Tensor:
    """A part as a sharded tensor like ``tensor``."""
    mesh = getattr(tensor, "device_mesh", None)
    if mesh is None:
        return part
    from torch.distributed.tensor import DTensor

    placements = getattr(tensor, "placements", None)
    return DTensor.from_local(
        part, mesh, placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )
