"""The loss of the moving average on held-out actors: the same samples at each checkpoint."""

from __future__ import annotations

import math

import torch
from torch import nn

from jvid_training.data.windows import HELD_OUT_STEP
from jvid_training.train.batches import Batches
from jvid_training.train.objectives import Measures

__all__ = ["VALIDATION_SAMPLES", "held_out_figures"]

VALIDATION_SAMPLES = {"image": 256, "video": 32, "decoder": 16, "autoencoder": 128}


def held_out_figures(network: nn.Module, batches: Batches, kind: str) -> tuple[dict[str, float], list[str]]:
    """The mean ``loss`` and the objective's further figures, and the clips whose loss is not finite.

    The processes share the samples, and each has the result: it is collective.

    Args:
        network: with the averaged weights; gradients off and precision are the caller's.
        batches: that the samples come from.
        kind: of network, which decides how many samples there are.
    """
    count, ranks = VALIDATION_SAMPLES[kind], batches.ranks
    own: dict[int, dict[str, float]] = {}
    with torch.no_grad():
        alike = batches.alike("holdout", count)
        for first in range(0, len(alike), ranks.world):
            # All processes evaluate the network as often, since sharded weights are gathered together: one without
            # a share takes the last sample, which another process has too.
            mine = first + ranks.rank
            places = alike[mine] if mine < len(alike) else alike[-1][-1:]
            batch = batches.batch("holdout", HELD_OUT_STEP, places, count)
            found = {"loss": batches.objective.loss(network, batch)}
            if isinstance(batches.objective, Measures):
                found |= batches.objective.figures(network, batch)
            for row, place in enumerate(places):
                own[place] = {name: float(values[row]) for name, values in found.items()}
    figures: dict[int, dict[str, float]] = {}
    for each in ranks.gather(own):
        figures |= each
    rows = [figures[place] for place in sorted(figures)]  # in one order, for one sum
    means = {name: sum(row[name] for row in rows) / count for name in rows[0]}
    bad = [place for place in sorted(figures) if not math.isfinite(figures[place]["loss"])]
    return means, [batches.described("holdout", HELD_OUT_STEP, place, count)[0] for place in bad]
