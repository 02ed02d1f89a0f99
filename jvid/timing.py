"""Seconds per call of a sampler's experts, measured as a run would call them: guided, bridged, at levels of a plan.

seconds(expert) = median of 3 calls, after one that warms up
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jvid.errors import InputError

if TYPE_CHECKING:
    import torch

    from jvid.plan import Plan
    from jvid.protocols import Condition
    from jvid.sampler import Sampler

__all__ = ["CALLS", "seconds_per_call"]

CALLS = 3
"""How many calls of an expert are measured."""


def seconds_per_call(
    sampler: Sampler,
    plan: Plan,
    shape: Sequence[int],
    cond: Condition,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Seconds by name, of the experts that the plan asks.

    Args:
        sampler: whose experts are called.
        plan: with steps on the sampler's schedule; calls are at levels spread over those where it asks an expert.
        shape: ``(c, f, h, w)`` of one clip.
        cond: of a batch of one.
        device: of the latents.

    Raises:
        InputError: the plan asks an expert that the sampler has not.
    """
    import torch

    from jvid.bridged import Bridged
    from jvid.keyed import keyed_normal

    z = keyed_normal([0], ("timing",), shape).to(device)
    found: dict[str, float] = {}
    for name, count in plan.counts.items():
        if not count:
            continue
        if name not in sampler.experts:
            raise InputError(f"the plan asks for {name!r}: expected experts among {list(sampler.experts)}")
        denoiser = sampler.experts[name].denoiser
        if denoiser.schedule != sampler.schedule:
            denoiser = Bridged(denoiser, sampler.schedule)
        levels = [step.start for step in plan.steps if name in step.weights]
        measured = []
        with torch.no_grad():
            for i in range(-1, CALLS):
                level = levels[(2 * max(i, 0) + 1) * len(levels) // (2 * CALLS)]
                x = math.hypot(level.alpha, level.sigma) * z
                # Metal has no float64.
                dtype = torch.float32 if x.device.type == "mps" else torch.float64
                t = torch.full((), level.t, dtype=dtype, device=x.device)
                begun = time.perf_counter()
                denoiser(x, t, cond).sum().item()  # a sum waits for the device
                measured.append(time.perf_counter() - begun)
        found[name] = statistics.median(measured[1:])
    return found
