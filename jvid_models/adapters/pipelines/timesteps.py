"""Which timestep a network gets at a sigma: a rule that the pairs of a pipeline's visits agree with.

scaled      T sigma, or sigma itself                          most of flow matching
whole       T sigma cut to a whole number                     UniPC and DPM++ on flow sigmas
unshifted   T u, sigma = k u / (1 + (k - 1) u)                CogView 4: the shift moves sigmas alone
log         log(sigma) / 4                                    EDM, Stable Video Diffusion
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines.visits import Visits

__all__ = ["TimestepRule", "rule_of"]


@attrs.frozen
class TimestepRule:
    """A sigma's timestep.

    Attributes:
        name: "scaled", "whole", "unshifted" or "log".
        factor: T.
        shift: k of "unshifted".
    """

    name: str
    factor: float = 1.0
    shift: float = 1.0

    def __call__(self, sigma: float) -> Tensor:
        """The timestep ``()`` at a sigma, computed in float32 as schedulers do."""
        if self.name == "log":
            return 0.25 * torch.tensor(max(sigma, 1e-20), dtype=torch.float32).log()
        if self.name == "unshifted":
            u = sigma / (self.shift - (self.shift - 1.0) * sigma)
            return torch.tensor(u * self.factor, dtype=torch.float32)
        value = torch.tensor(sigma, dtype=torch.float32) * self.factor
        # A whole number less a rounding error is that number.
        return (value + 1e-4).floor() if self.name == "whole" else value


def rule_of(name: str, visits: Visits, config: Mapping[str, Any]) -> TimestepRule:
    """The rule that all pairs of timestep and sigma agree with; ``name`` of the scheduler's class.

    Raises:
        InputError: there is none.
    """
    pairs = list(zip(visits.timesteps.double().tolist(), visits.sigmas or (), strict=True))
    T = float(config.get("num_train_timesteps", 1000))
    rules = [TimestepRule("scaled", T), TimestepRule("scaled"), TimestepRule("log")]
    if not visits.timesteps.is_floating_point():
        rules = [TimestepRule("whole", T)]
    shifts = [s * (1.0 - n / T) / (n / T * (1.0 - s)) for n, s in pairs if 0.0 < n < T and 0.0 < s < 1.0]
    if shifts:
        rules.append(TimestepRule("unshifted", T, sum(shifts) / len(shifts)))
    for rule in rules:
        if all(math.isclose(float(rule(s)), n, rel_tol=1e-4, abs_tol=1e-5) for n, s in pairs):
            return rule
    shown = ", ".join(f"{n:g} at {s:.4g}" for n, s in pairs[:3])
    raise InputError(
        f"{name} has timesteps that its sigmas do not explain ({shown}): expected T sigma or log(sigma) / 4"
    )
