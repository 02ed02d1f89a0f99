"""Copies of a scheduler that step a part of the latents each, taken together as one step of the scheduler.

    copy 0: step(output[0], t, latents[0])     its latents are kept
    copy 1: step(output[1], t, latents[1])     the drive steps the stack of both; part 0 is written, part 1 returned

The parts are views of the loop's latents, so that what is written into them is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["StackedParts"]

Given = dict[str, Any]
Step = Callable[[Tensor, Any, Tensor], Tensor]


class StackedParts:
    """The parts of one turn.

    Args:
        count: of them.
        step: the step of the stack ``(count, *part)``: its output, timestep and latents -> the latents behind it.
    """

    def __init__(self, count: int, step: Step) -> None:
        self._count, self._step = count, step
        self._outputs: list[Tensor] = []
        self._samples: list[Tensor] = []

    def step(self, output: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """The step of the next part: its latents behind it, of the last part those of the turn."""
        self._outputs.append(output)
        self._samples.append(sample)
        if len(self._samples) < self._count:
            return sample
        outputs, samples = self._outputs, self._samples
        self._outputs, self._samples = [], []
        latents = self._step(torch.stack(outputs), timestep, torch.stack(samples))
        for part, value in zip(samples[:-1], latents, strict=False):
            part.copy_(value)
        return latents[-1]
