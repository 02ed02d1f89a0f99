"""Which clock a pipeline's timesteps go by: one that all pairs of its visits agree with.

A scheduler's configuration declares one, and a pipeline may set other timesteps: sigmas themselves, or T u where the shift
moves sigmas alone.
"""

from __future__ import annotations

import math

import torch

from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid.schedules import FlowMatching
from jvid_models.adapters.pipelines.visits import Visits
from jvid_models.adapters.scheduler_clocks import Clock, ClockName

__all__ = ["measured_clock"]


def measured_clock(name: str, declared: Clock, schedule: NoiseSchedule, visits: Visits) -> Clock:
    """The clock of levels by sigma that the visits agree with; ``name`` of the scheduler's class.

    Raises:
        InputError: there is none.
    """
    pairs = list(zip(visits.timesteps.double().tolist(), visits.sigmas or (), strict=True))
    T = declared.T
    own: ClockName = "signal" if declared.name == "signal" else "sigma"
    clocks = [Clock(own, T), Clock(own, 1.0), Clock("log", T)]
    if not visits.timesteps.is_floating_point():
        clocks = [Clock(own, T, whole=True)]
    shifts = [s * (1.0 - n / T) / (n / T * (1.0 - s)) for n, s in pairs if 0.0 < n < T and 0.0 < s < 1.0]
    if shifts and own == "sigma":
        clocks.append(Clock("unshifted", T, sum(shifts) / len(shifts)))
    values = torch.tensor([s for _, s in pairs], dtype=torch.float64)
    rest = 1.0 - values if isinstance(schedule, FlowMatching) else torch.ones_like(values)
    level = (values, rest) if own == "signal" else (rest, values)
    for clock in clocks:
        found = clock.at(*level).tolist()
        if all(
            math.isclose(got, n, rel_tol=1e-4, abs_tol=1e-5) for got, (n, _) in zip(found, pairs, strict=True)
        ):
            return clock
    shown = ", ".join(f"{n:g} at {s:.4g}" for n, s in pairs[:3])
    raise InputError(
        f"{name} has timesteps that its sigmas do not explain ({shown}): expected T sigma or log(sigma) / 4"
    )
