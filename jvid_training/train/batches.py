"""This process's share of the samples of a step.

    place in the global batch = (part x processes + process) x size + row,    part = 0 .. accumulate - 1

A sample is a function of the seed, the step and its place alone, so that a batch does not depend on who computes it.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_training.data.windows import Split
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import Training
from jvid_training.train.objectives import Objective
from jvid_training.train.tasks import Sources

__all__ = ["Batches"]


@attrs.frozen(eq=False)
class Batches:
    """Makes batches on a device.

    Raises:
        InputError: on construction, where the processes and their parts do not divide the batch.
    """

    training: Training
    objective: Objective
    sources: Sources
    ranks: Ranks
    device: torch.device

    def __attrs_post_init__(self) -> None:
        shares = self.ranks.world * self.training.accumulate
        if self.training.batch % shares:
            raise InputError(
                f"training.batch: {self.training.batch} cannot be shared by {self.ranks.world} processes of "
                f"{self.training.accumulate} parts; use a multiple of {shares}"
            )

    @property
    def size(self) -> int:
        """Samples of a part."""
        return self.training.batch // (self.ranks.world * self.training.accumulate)

    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        """The parts of this process's share of a training step, one by one."""
        for part in range(self.training.accumulate):
            first = (part * self.ranks.world + self.ranks.rank) * self.size
            yield self.batch("train", step, range(first, first + self.size), self.training.batch)

    def batch(self, split: Split, step: int, places: range, count: int) -> dict[str, Tensor]:
        """The samples at ``places`` of a global batch of ``count``, stacked."""
        seed = self.training.seed
        samples = [self.objective.sample(self.sources[split], seed, step, place, count) for place in places]
        return {
            name: torch.stack([sample[name] for sample in samples]).to(self.device) for name in samples[0]
        }
