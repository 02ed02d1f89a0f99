"""Memory of a device by part, of a network that is whole on it and of one that processes share.

                 whole                                                  sharded over n processes
weights          4 bytes of each parameter, and the buffers             the rows of a process; buffers are whole
gradients        4 bytes of each parameter that is trained              those of its rows
exchange         the gradients once more, with several processes        what is whole at a time, see `_gathered_bytes`
moments          8 bytes of each parameter that gets gradients,         those of its rows
                 and the optimiser's counters
moving average   4 bytes of each parameter that is trained              those of its rows
activations      of a forward and backward pass                         the same

A sharded tensor is divided along its first axis, and the first process has the most: ceil(rows / n).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import attrs
import torch
from torch import Tensor, nn

from jvid_training.estimate.step import StepCost

__all__ = ["DeviceMemory", "sharded_memory", "whole_memory"]


@attrs.frozen
class DeviceMemory:
    """Bytes on each device. ``peak`` is the most at a time: gradients grow while activations go."""

    weights: int
    gradients: int
    exchange: int
    moments: int
    average: int
    activations: int
    peak: int


def whole_memory(
    network: nn.Module, parameters: Mapping[str, Tensor], cost: StepCost, processes: int, beside: int
) -> DeviceMemory:
    """Of a network that each of the processes has whole.

    Args:
        network: on the meta device.
        parameters: of the network, by name.
        cost: of a part of the batch.
        processes: that exchange gradients.
        beside: bytes of modules that are on the device beside the network.
    """
    weights = _bytes(parameters.values()) + _bytes(network.buffers()) + beside
    exchange = cost.gradients if processes > 1 else 0
    moments, average = _optimised(parameters, cost, 1)
    peak = weights + moments + average + exchange + cost.peak
    return DeviceMemory(weights, cost.gradients, exchange, moments, average, cost.activations, peak)


def sharded_memory(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    cost: StepCost,
    processes: int,
    beside: int,
    blocks: Sequence[nn.Module],
    dtype: torch.dtype | None = None,
    accumulated: bool = False,
) -> DeviceMemory:
    """Of a network that the processes share. ``peak`` has all that is whole at a time beside the activations' peak.

    What crosses the processes is held until they have summed it: where that takes longer than the next blocks, more is held.

    Args:
        network: on the meta device.
        parameters: of the network, by name.
        cost: of a part of the batch, of a sharded step.
        processes: that share the network.
        beside: bytes of modules that are on the device beside the network, which stay whole.
        blocks: that are gathered while they are evaluated, those within another one first.
        dtype: that gathered weights have; None is their own.
        accumulated: whether a step has several parts, whose gradients are whole until the last one.
    """
    weights = _bytes(parameters.values(), processes) + _bytes(network.buffers()) + beside
    stepped = (each for name, each in _trained(parameters) if name not in cost.unused)
    gradients = _bytes(stepped, processes)
    moments, average = _optimised(parameters, cost, processes)
    exchange = _gathered_bytes(network, blocks, dtype, accumulated)
    peak = weights + moments + average + exchange + gradients + cost.peak - cost.gradients
    return DeviceMemory(weights, gradients, exchange, moments, average, cost.activations, peak)


def _gathered_bytes(
    network: nn.Module, blocks: Sequence[nn.Module], dtype: torch.dtype | None, accumulated: bool = False
) -> int:
    """What is whole at a time: weights of the root, of two blocks and in a buffer for one; gradients of two blocks in float32.

    torch's ``fully_shard`` keeps what is in no block from the forward pass to the end of the backward pass. It gathers the next
    block into a buffer while one computes, and copies it from there. The gradients of a block are whole until they are summed,
    while those of the next are computed; where a step has several parts, those of all blocks are kept until the last part.
    https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
    """
    known: set[int] = set()

    def gathers(module: nn.Module) -> tuple[int, int]:
        """Bytes of the weights and of the gradients of a module, without those of blocks within it."""
        own = [each for each in module.parameters() if id(each) not in known]
        known.update(map(id, own))
        weights = sum(each.numel() * (dtype or each.dtype).itemsize for each in own)
        return weights, sum(each.numel() * torch.float32.itemsize for each in own if each.requires_grad)

    sizes = [gathers(module) for module in blocks]
    root = gathers(network)
    largest = sorted((weights for weights, _ in sizes), reverse=True)
    gradients = sorted((each for _, each in sizes), reverse=True)
    kept = sum(gradients) if accumulated else 0
    return sum(root) + sum(largest[:2]) + sum(largest[:1]) + sum(gradients[:2]) + kept


def _optimised(parameters: Mapping[str, Tensor], cost: StepCost, processes: int) -> tuple[int, int]:
    """Bytes of the moments with their counters, and of the moving average."""
    stepped = [each for name, each in _trained(parameters) if name not in cost.unused]
    counters = torch.float32.itemsize * len(stepped)
    average = _bytes((each for _, each in _trained(parameters)), processes)
    return 2 * _bytes(stepped, processes) + counters, average


def _trained(parameters: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(name, each) for name, each in parameters.items() if each.requires_grad]


def _bytes(tensors: Iterable[Tensor], processes: int = 1) -> int:
    return sum(
        each.element_size() * (math.ceil(each.shape[0] / processes) * each[0].numel() if each.ndim else 1)
        for each in tensors
    )
