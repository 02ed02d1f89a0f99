"""How the processes of a job share a network: each has it whole (DDP), or a part of every tensor (FSDP2).

    none    the whole network in each process; gradients are averaged                         DistributedDataParallel
    full    a part of the weights, gradients, moments and averages in each process; a block   fully_shard
            is gathered while it is evaluated

Of a published network with adapters the weights that are not trained are sharded too; they have no gradients to exchange.
Both average the gradients of equal shares of a batch, so a step is the same but for the order of sums. The fast forward of UNets
does not call their blocks as modules, by which blocks are gathered and compiled: with either the stock forward is evaluated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from jvid.errors import InputError
from jvid_training.jobs.ranks import Ranks
from jvid_training.published.network import PublishedNetwork
from jvid_training.recipe import Recipe
from jvid_training.train.networks import accelerated, by_modules
from jvid_training.train.precision import Precision

__all__ = [
    "Parallel", "blocks", "check_parallel", "compile_backend", "gathered", "is_sharded", "published_blocks", "whole",
]  # fmt: skip


class Parallel:
    """A network that is shared by the processes.

    Args:
        recipe: of the run.
        network: the module that owns the parameters, on its device; sharding replaces its parameters.
        accelerator: of the job.
        ranks: this process in it.
        precision: that the network computes in.

    Raises:
        InputError: a published model is to be compiled, or a sharded network to be sampled.
    """

    def __init__(
        self, recipe: Recipe, network: nn.Module, accelerator: Accelerator, ranks: Ranks, precision: Precision
    ) -> None:
        training = recipe.training
        self.bare = network
        self.sharded = is_sharded(recipe, ranks.world)
        self._accelerator = accelerator
        backend = compile_backend(recipe)
        check_parallel(recipe, ranks.world)
        fast = recipe.kind in ("image", "video") and not (self.sharded or backend)
        self._called: Any = (accelerated if fast else by_modules)(network, training.checkpointing)
        if backend:
            # In place: a module that wraps it would put its name before those of the parameters.
            for module in [*blocks(network)] if self.sharded else [network]:
                module.compile(backend=backend)
        if self.sharded:
            _shard(network, accelerator.device, ranks.world, precision)

    def connect(self) -> None:
        """Average gradients over the processes from here on; before it, the parameters get their values."""
        if not self.sharded:
            self._called = self._accelerator.prepare_model(self._called)

    @property
    def called(self) -> nn.Module:
        """What a training step evaluates."""
        found: nn.Module = self._called
        return found

    @property
    def evaluated(self) -> nn.Module:
        """What is evaluated without gradients."""
        found: nn.Module = self._accelerator.unwrap_model(self._called)
        return found

    def part(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients cross the processes once a step, with the last part of it."""
        if self.sharded:
            self._called.set_requires_gradient_sync(last)
            return nullcontext()
        return nullcontext() if last else self._accelerator.no_sync(self._called)

    def clip(self, largest: float) -> float:
        """Scale the gradient down to a norm of at most ``largest``; returns its norm before."""
        return float(whole(nn.utils.clip_grad_norm_(self.bare.parameters(), largest)))


def is_sharded(recipe: Recipe, world: int) -> bool:
    """Whether so many processes share the network: one has it whole."""
    return recipe.training.sharding == "full" and world > 1


def check_parallel(recipe: Recipe, world: int) -> None:
    """Refuse what a network that is compiled, or that so many processes share, cannot do.

    Raises:
        InputError: a published model is to be compiled, or a sharded network to be sampled.
    """
    if recipe.published is not None and compile_backend(recipe):
        raise InputError(
            "training.compile: got a published model, expected a network of a factory; leave it out"
        )
    if is_sharded(recipe, world) and recipe.training.samples_every:
        raise InputError(
            "training.samples_every: one process makes the samples, and of a sharded network it has a part; set it to 0"
        )


def blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The modules of the outermost lists, which are what a forward evaluates one after another."""
    for child in network.children():
        if isinstance(network, nn.ModuleList) and not isinstance(child, nn.ModuleList):
            yield child
        else:
            yield from blocks(child)


def gathered(network: nn.Module) -> list[nn.Module]:
    """The modules each of which is gathered while it is evaluated, those within another one first.

    Of a published network: the classes that diffusers declares as blocks that are not split (``_no_split_modules``), and of the
    `blocks` those without any. Of another network: the `blocks`.
    """
    return published_blocks(network.network) if isinstance(network, PublishedNetwork) else [*blocks(network)]


def published_blocks(network: nn.Module) -> list[nn.Module]:
    """The modules of a network of diffusers or transformers that are gathered, those within another one first."""
    declared = set(getattr(network, "_no_split_modules", None) or ())
    found = [module for module in network.modules() if type(module).__name__ in declared]
    known = {inner for module in found for inner in module.modules()}
    others = [block for block in blocks(network) if known.isdisjoint(block.modules())]
    return [*reversed(found), *others]


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor's whole value, gathered from all processes; any other as it is."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def compile_backend(recipe: Recipe) -> str | None:
    """The backend of torch.compile: inductor where the recipe compiles, or what ``accelerate launch`` names; else None."""
    named = os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower()
    if named != "no":
        return named
    return "inductor" if recipe.training.compile else None


def _shard(network: nn.Module, device: torch.device, world: int, precision: Precision) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(device.type, (world,))
    # Blocks cross the processes in the precision that they compute in; gradients are summed in float32.
    # Autocast rounds the inputs of a published network's layers, where its own code does not keep them: its times are float64.
    policy = MixedPrecisionPolicy(
        param_dtype=precision.dtype,
        reduce_dtype=torch.float32,
        cast_forward_inputs=not isinstance(network, PublishedNetwork),
    )
    for block in gathered(network):
        if any(True for _ in block.parameters()):
            fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(network, mesh=mesh, mp_policy=policy)
