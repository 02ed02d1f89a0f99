"""The check of a noise sampler's covariance, read off with unit draws: nothing is estimated."""

from __future__ import annotations

from typing import Any

import torch

from jvid.testing.checking import check
from jvid.testing.covariance import covariance, shapes_of_few
from jvid.testing.trial import Trial

SHAPES = ((2, 2, 3, 2, 3), (1, 1, 33, 1, 1), (1, 1, 2, 5, 1))


@check("noise")
def covariance_as_declared(subject: Any, trial: Trial) -> None:
    """The covariance of any two elements, exactly: std^2 and the declared correlation at one place, 0 elsewhere."""
    std = float(getattr(subject, "std", 1.0))
    declared = getattr(subject, "correlation", None)
    free = [
        axis for axis, option in ((1, "channels"), (3, "pixels"), (4, "pixels")) if not trial.option(option)
    ]
    for shape in shapes_of_few(trial, SHAPES):
        found = covariance(subject, shape, trial.device)
        places = torch.stack(torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")).flatten(1)
        same = [places[axis][:, None] == places[axis][None] for axis in range(5)]
        frames = torch.eye(shape[2], dtype=torch.float64)
        if declared is not None:
            for i in range(shape[2]):
                for j in range(shape[2]):
                    frames[i, j] = float(declared(i, j))
        expected = std**2 * frames[places[2][:, None], places[2][None]]
        expected = torch.where(same[0] & same[1] & same[3] & same[4], expected, 0.0)
        known = torch.ones_like(same[0])
        for axis in free:  # correlated on purpose; what holds at one place, and of two clips, holds still
            known &= same[axis] | ~same[0]
        if declared is None:
            known &= same[2] | ~same[0]
        apart = torch.where(known, (found - expected).abs(), 0.0)
        worst = int(apart.argmax())
        one, two = (tuple(places[:, k].tolist()) for k in divmod(worst, found.shape[1]))
        assert float(apart.max()) <= trial.allowed(1e-9) * max(1.0, std**2), (
            f"the covariance of elements {one} and {two} (clip, channel, frame, row, column) is "
            f"{float(found.flatten()[worst]):.6g}, declared {float(expected.flatten()[worst]):.6g}"
        )
