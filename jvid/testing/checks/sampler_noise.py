"""The check that a sampler draws no noise twice."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from jvid.testing.checking import check
from jvid.testing.sampling import Recorded, on, rebuilt
from jvid.testing.trial import Trial

ALIKE, SIGMAS = 0.5, 8.0
"""A correlation that two draws do not come to by chance: this, or so many deviations of it where elements are few."""
FEWEST = 96


@check("sampler")
def no_noise_twice(subject: Any, trial: Trial) -> None:
    """The first noise, and that of each step and stage, are all different: of seeds s, s + 1, s + 2 and s + 2^32, run by run."""
    shape = trial.fitting([(1, 4, 3, 12, 10)])[0][1:]
    drawn: list[tuple[str, Tensor]] = []
    for seed in (5, 6, 7, 5 + 2**32):
        recorded = Recorded(subject.solver)
        sampler = rebuilt(subject, solver=recorded)
        for _ in sampler.trace(shape, seeds=[seed], cond=trial.condition(1, shape[1]), plan=3, **on(trial)):
            pass
        if getattr(subject, "clean", None) is None:
            drawn.append((f"the first noise of seed {seed}", recorded.x[min(recorded.x)]))
        for index, noise in recorded.noise.items():
            drawn += [(f"noise {name!r} of step {index} of seed {seed}", z) for name, z in noise.items()]
    rows = [(what, z.cpu().double().flatten()) for what, z in drawn]
    rows = [(what, z / z.norm()) for what, z in rows if float(z.norm()) > 0.0]
    if not rows or rows[0][1].numel() < FEWEST:
        trial.skip(f"clips of fewer than {FEWEST} numbers: their noise is alike by chance")
    alike = torch.stack([z for _, z in rows]) @ torch.stack([z for _, z in rows]).T
    # Frames may be one picture of noise.
    most = max(ALIKE, SIGMAS / (rows[0][1].numel() / shape[1]) ** 0.5)
    for i, j in combinations(range(len(rows)), 2):
        assert abs(float(alike[i, j])) < most, f"{rows[j][0]} is {rows[i][0]} again"
