"""The loss of the moving average on held-out actors: the same samples at each checkpoint."""

from __future__ import annotations

import torch
from torch import nn

from jvid_training.data.windows import HELD_OUT_STEP
from jvid_training.train.batches import Batches
from jvid_training.train.objectives import Measures

__all__ = ["VALIDATION_SAMPLES", "held_out_figures"]

VALIDATION_SAMPLES = {"image": 256, "video": 32, "decoder": 16, "autoencoder": 128}


def held_out_figures(network: nn.Module, batches: Batches, kind: str) -> dict[str, float]:
    """The mean ``loss``, and the objective's further figures, over the held-out samples of a kind of network.

    ``network`` has the averaged weights. Gradients and precision are the caller's.
    """
    count, objective = VALIDATION_SAMPLES[kind], batches.objective
    total: dict[str, float] = {}
    with torch.no_grad():
        for first in range(0, count, batches.size):
            places = range(first, min(first + batches.size, count))
            batch = batches.batch("holdout", HELD_OUT_STEP, places, count)
            found = {"loss": objective.loss(network, batch)}
            if isinstance(objective, Measures):
                found |= objective.figures(network, batch)
            for name, values in found.items():
                total[name] = total.get(name, 0.0) + float(values.sum())
    return {name: summed / count for name, summed in total.items()}
