"""One training step on the meta device: its operations, and the most memory that it holds.

    forward, loss, backward [, again for each part of an accumulated batch]

Gradients that are there from part to part, as in accumulation, are held throughout; else they appear in the backward pass as
activations go. What the optimiser and the moving average need for a moment is less than the gradients and activations before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from jvid_training.estimate.meter import Meter
from jvid_training.estimate.precision import GpuStep
from jvid_training.train.objectives import Objective

__all__ = ["StepCost", "cost_of", "weighted"]


@attrs.frozen
class StepCost:
    """One forward and backward pass of a batch.

    Attributes:
        forward: operations; a multiply-add is two.
        backward: operations, those of layers that are computed again included.
        activations: bytes at the end of the forward pass: what the backward pass needs, the batch, weights in lower precision,
            and what is held throughout.
        gradients: bytes of all gradients.
        peak: the most bytes at a time beside weights, moments and moving average: activations, gradients so far, and what
            operations need for a moment.
        unused: parameters that are trained but get no gradient from this batch, by name.
    """

    forward: int
    backward: int
    activations: int
    gradients: int
    peak: int
    unused: tuple[str, ...] = ()


def cost_of(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    objective: Objective,
    batch: Mapping[str, Tensor],
    dtype: torch.dtype | None = None,
    accumulated: bool = False,
    held: Sequence[Tensor] = (),
    sharded: bool = False,
) -> StepCost:
    """The cost of a step of a network on the meta device.

    Args:
        network: as it is trained.
        parameters: of the network, by name.
        objective: whose loss is computed.
        batch: meta tensors.
        dtype: of mixed precision; None computes in the weights' own.
        accumulated: whether gradients of an earlier part are there.
        held: meta tensors that are there throughout, beside the network's.
        sharded: whether processes share the network: weights in lower precision are then those that are gathered, which are no
            activations, and ``peak`` has the gradients beside the most of the rest.
    """
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    for parameter in trained.values():
        parameter.grad = None
    meter = Meter([*parameters.values(), *network.buffers()])
    gpu = GpuStep(dtype, meter.leave_out if sharded else None)
    meter.hold([*batch.values(), *held])
    with gpu, meter:
        loss = objective.loss(network, dict(batch)).mean()
        gpu.forget()
        forward, activations = meter.flops, meter.live
        _backward(loss)
        gpu.forget()
    gradients = {name: parameter.grad for name, parameter in trained.items() if parameter.grad is not None}
    size = sum(gradient.numel() * gradient.element_size() for gradient in gradients.values())
    peak = meter.peak
    if accumulated or sharded:
        # The second part adds to gradients that are there: all of them beside its activations. Those of a sharded network are in
        # parts, and beside the activations likewise.
        peak = _second_part(network, parameters, objective, batch, dtype, held, sharded) + size
    for parameter in trained.values():
        parameter.grad = None
    unused = tuple(name for name in trained if name not in gradients)
    return StepCost(forward, meter.flops - forward, activations, size, peak, unused)


def _second_part(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    objective: Objective,
    batch: Mapping[str, Tensor],
    dtype: torch.dtype | None,
    held: Sequence[Tensor],
    sharded: bool,
) -> int:
    """The peak of a part whose gradients are there before, without those."""
    gradients = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
    meter = Meter([*parameters.values(), *network.buffers(), *gradients])
    gpu = GpuStep(dtype, meter.leave_out if sharded else None)
    meter.hold([*batch.values(), *held])
    with gpu, meter:
        loss = objective.loss(network, dict(batch)).mean()
        gpu.forget()
        _backward(loss)
    return meter.peak


def _backward(loss: Tensor) -> None:
    # By the engine itself: within torch's public functions modes are off, and layers that are computed again need `GpuStep`.
    engine: Any = torch.autograd.Variable._execution_engine
    engine.run_backward(
        (loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


def weighted(costs: Sequence[tuple[float, StepCost]]) -> StepCost:
    """The mean operations of steps by their shares, and the most memory of any."""

    def mean(values: Sequence[int]) -> int:
        return round(sum(share * value for (share, _), value in zip(costs, values, strict=True)))

    every = [cost for _, cost in costs]
    unused = set(every[0].unused).intersection(*(cost.unused for cost in every[1:]))
    return StepCost(
        mean([cost.forward for cost in every]),
        mean([cost.backward for cost in every]),
        max(cost.activations for cost in every),
        max(cost.gradients for cost in every),
        max(cost.peak for cost in every),
        tuple(name for name in every[0].unused if name in unused),
    )
