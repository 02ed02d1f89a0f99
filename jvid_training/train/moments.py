"""The optimiser's state by the parameters' names, which outlives the order and the sharding of the parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from jvid.limits import whole_number

__all__ = ["moments_of", "set_moments"]


def moments_of(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """``NAME.exp_avg``, ``NAME.exp_avg_sq`` and ``NAME.step`` ``(1)`` of each parameter that had a gradient."""
    return {
        f"{name}.{key}": value.reshape(1) if value.ndim == 0 else value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def set_moments(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    moments: Iterator[tuple[str, Tensor]],
) -> None:
    """Put the state of a checkpoint into the optimiser; the tensors are placed as the parameters are.

    Args:
        optimizer: of the parameters.
        parameters: those that are trained, in their order.
        moments: of `moments_of`, or with the parameters' numbers for names, as earlier versions wrote them.
    """
    numbered = dict(enumerate(parameters))
    for key, value in moments:
        owner, _, kind = key.rpartition(".")
        number = whole_number(owner)
        parameter = parameters[owner if number is None else numbered[number]]
        placed = (
            value.reshape(()).to(parameter.device, torch.float32)
            if kind == "step"
            else like(value, parameter)
        )
        optimizer.state[parameter][kind] = placed


def like(value: Tensor, target: Tensor) -> Tensor:
    """A whole tensor, on the device of ``target`` and sharded as it is."""
    value = value.to(target.device, target.dtype)
    mesh = getattr(target, "device_mesh", None)
    if mesh is None or hasattr(value, "device_mesh"):
        return value
    from torch.distributed.tensor import distribute_tensor

    placements = getattr(target, "placements", None)
    return distribute_tensor(value, mesh, placements)
