"""This process's share of the samples of a step, with its places in the global batch: `jvid_training.data.loading.Share`.

A sample is a function of the seed, the step and its place alone, so that a batch does not depend on who computes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import count as naturals
from itertools import islice
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_training.data.loading import Loader, Share, stacked
from jvid_training.data.windows import HELD_OUT_STEP, Split
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import Training
from jvid_training.train.objectives import Objective
from jvid_training.train.tasks import Sources

__all__ = ["Batches"]


@attrs.frozen(eq=False, slots=False)
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
        return self._share.size

    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        """The parts of this process's share of a training step, one by one."""
        return map(self._moved, self._loader(step))

    def batch(self, split: Split, step: int, places: Sequence[int], count: int) -> dict[str, Tensor]:
        """The samples at ``places`` of a global batch of ``count``, stacked; held-out ones of one bucket (`alike`)."""
        seed = self.training.seed
        return self._moved(stacked(self.objective, self.sources[split], seed, step, places, count))

    def alike(self, split: Split, count: int) -> list[list[int]]:
        """The places of ``count`` held-out samples, in lists of at most `size` that have one bucket each."""
        source, groups = self.sources[split], dict[int | None, list[int]]()
        for place in range(count):
            bucket = source.bucket(self.training.seed, HELD_OUT_STEP, place)
            groups.setdefault(bucket, []).append(place)
        return [
            group[first : first + self.size]
            for group in groups.values()
            for first in range(0, len(group), self.size)
        ]

    def first_alike(self, split: Split, count: int) -> list[int]:
        """The places of the first held-out samples that have the first one's bucket."""
        bucket = partial(self.sources[split].bucket, self.training.seed, HELD_OUT_STEP)
        first = bucket(0)
        return list(islice((place for place in naturals() if bucket(place) == first), count))

    def places(self) -> list[int]:
        """The places in the global batch of this process's samples of a step, in the order of `parts`."""
        return [place for part in range(self.training.accumulate) for place in self._share.places(part)]

    def described(self, split: Split, step: int, place: int, count: int | None = None) -> tuple[str, bool]:
        """The clip that a sample is of, its number where the source has no names; and whether its values are finite."""
        source = _Noted(self.sources[split])
        count = self.training.batch if count is None else count
        sample = self.objective.sample(source, self.training.seed, step, place, count)
        finite = all(bool(torch.isfinite(values).all()) for values in sample.values())
        sequence = getattr(source.drawn, "sequence", None)
        return (f"sample {place}" if sequence is None else str(sequence.clip)), finite

    @cached_property
    def _share(self) -> Share:
        training, ranks = self.training, self.ranks
        return Share(
            objective=self.objective,
            source=self.sources["train"],
            seed=training.seed,
            batch=training.batch,
            parts=training.accumulate,
            rank=ranks.rank,
            world=ranks.world,
        )

    @cached_property
    def _loader(self) -> Loader:
        training = self.training
        return Loader(self._share, training.accumulate, training.workers, pin=self.device.type == "cuda")

    def _moved(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: values.to(self.device, non_blocking=True) for name, values in batch.items()}


class _Noted:
    """A source of samples that keeps what was drawn last."""

    def __init__(self, source: Any) -> None:
        self._source, self.drawn = source, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def draw(self, random: np.random.Generator, bucket: int | None = None) -> Any:
        self.drawn = self._source.draw(random, bucket)
        return self.drawn
