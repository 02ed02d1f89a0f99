"""What a run needs and costs: parameters, memory by part (`jvid_training.estimate.memory`), operations, GPU-hours.

Activations are those of a forward and backward pass on the meta device (`jvid_training.estimate.step`), and the table of prompts.

Of a published model, whose parts have dtypes of their own, weights are those of the whole pipeline, gradients those of what is
trained.

GPU-hours = steps x operations of a step / (peak of the GPU x utilisation) / 3600
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from torch import nn

from jvid.errors import InputError
from jvid_training.estimate.gpus import Gpu
from jvid_training.estimate.memory import DeviceMemory, sharded_memory, whole_memory
from jvid_training.estimate.step import StepCost
from jvid_training.estimate.steps import Steps
from jvid_training.recipe import Recipe
from jvid_training.recipe_buckets import Bucket
from jvid_training.train.parallel import is_sharded
from jvid_training.train.precision import DTYPES

__all__ = ["UTILISATION", "Estimate", "Hours", "estimate"]

UTILISATION = 0.3
"""Of a GPU's peak, where none is stated. The paper's runs reached .02 to .16."""


@attrs.frozen
class Hours:
    """A run on a GPU: ``hours`` of all GPUs together, None where it lacks the precision; whether the peak fits its memory."""

    gpu: Gpu
    hours: float | None
    fits: bool


@attrs.frozen
class Estimate:
    """The estimate of a run.

    Attributes:
        recipe: that is estimated.
        processes: that share a step's batch, each on a device of its own.
        trained: number of parameters that are trained.
        fixed: number of those that keep their values.
        unused: names of parameters that are trained but get no gradient.
        batch: shapes of the parts that a device computes at a time, by name.
        cost: of such a part, by the recipe.
        memory: of a device, by the recipe.
        other: memory with layers computed again where the recipe does not, or without where it does; None where the network
            cannot.
        again: operations of a step that layers computed again add, by the recipe, or by one with ``checkpointing``.
        utilisation: of the peak.
        hours: on named GPUs.
        assumed: what could not be known, in sentences.
        buckets: whose batches the operations are the mean of, the largest first; none of a recipe that states none.
    """

    recipe: Recipe
    processes: int
    trained: int
    fixed: int
    unused: tuple[str, ...]
    batch: Mapping[str, tuple[int, ...]]
    cost: StepCost
    memory: DeviceMemory
    other: DeviceMemory | None
    again: int
    utilisation: float
    hours: tuple[Hours, ...]
    assumed: tuple[str, ...] = ()
    buckets: tuple[Bucket, ...] = ()

    @property
    def parts(self) -> int:
        """Parts of a step, over all processes."""
        return self.processes * self.recipe.training.accumulate

    @property
    def step(self) -> int:
        """Operations of a step, over all processes."""
        return self.parts * (self.cost.forward + self.cost.backward)

    @property
    def run(self) -> int:
        """Operations of all steps; held-out losses and samples are not counted."""
        return self.step * self.recipe.training.steps


def estimate(
    recipe: Recipe,
    network: nn.Module,
    steps: Steps,
    gpus: Sequence[Gpu],
    utilisation: float = UTILISATION,
    processes: int = 1,
    assumed: Sequence[str] = (),
    buckets: Sequence[Bucket] = (),
) -> Estimate:
    """Estimate a run.

    Args:
        recipe: of the run.
        network: on the meta device, with the parameters that are trained.
        steps: how it computes them.
        gpus: whose hours are wanted.
        utilisation: share of a GPU's peak, in (0, 1].
        processes: that share a step's batch.
        assumed: sentences for `Estimate.assumed`.
        buckets: for `Estimate.buckets`.

    Raises:
        InputError: a share out of range, a batch that the processes cannot share, or a network that does not run.
    """
    training = recipe.training
    if not 0 < utilisation <= 1:
        raise InputError(f"utilisation {utilisation:g}: expected a share of the peak, above 0 and at most 1")
    size = max(training.batch // (processes * training.accumulate), 1)
    parameters = dict(network.named_parameters())
    sharded = is_sharded(recipe, processes)
    chosen = steps.cost(size, training.checkpointing, sharded)
    if chosen is None:
        raise InputError("training.checkpointing: the network does not compute layers again; leave it out")
    other = steps.cost(size, not training.checkpointing, sharded)

    def memory(cost: StepCost) -> DeviceMemory:
        if sharded:
            return sharded_memory(
                network,
                parameters,
                cost,
                processes,
                steps.beside,
                steps.blocks,
                DTYPES[training.precision],
                training.accumulate > 1,
            )
        return whole_memory(network, parameters, cost, processes, steps.beside)

    again = 0 if other is None else processes * training.accumulate * abs(chosen.backward - other.backward)
    fixed = sum(each.numel() for each in parameters.values() if not each.requires_grad)
    found = Estimate(
        recipe,
        processes,
        sum(each.numel() for each in parameters.values()) - fixed,
        fixed,
        chosen.unused,
        steps.batch(size),
        chosen,
        memory(chosen),
        None if other is None else memory(other),
        again,
        utilisation,
        (),
        tuple(assumed),
        tuple(buckets),
    )
    return attrs.evolve(found, hours=tuple(_hours(found, gpu) for gpu in gpus))


def _hours(found: Estimate, gpu: Gpu) -> Hours:
    rate = gpu.peak(found.recipe.training.precision) * found.utilisation
    hours = found.run / rate / 3600 if rate else None
    return Hours(gpu, hours, found.memory.peak <= gpu.memory)
