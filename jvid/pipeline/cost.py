"""Seconds per call of a sampler's experts, given or measured as a run would call them: guided, bridged, at levels of a plan.

seconds(expert) = median of 3 calls, after one that warms up
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from jvid.errors import InputError

if TYPE_CHECKING:
    import torch

    from jvid.core.conditions import PerExpert
    from jvid.core.plan import Plan
    from jvid.core.protocols import Condition
    from jvid.core.sampler import Sampler
    from jvid.ensemble.compose import Composition

__all__ = ["CALLS", "given_seconds", "measured_seconds", "seconds_per_call"]

CALLS = 3
"""How many calls of an expert are measured."""


def seconds_per_call(
    sampler: Sampler,
    plan: Plan,
    shape: Sequence[int],
    cond: Condition | PerExpert,
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

    from jvid.core.bridged import Bridged
    from jvid.core.conditions import for_expert
    from jvid.core.keyed import keyed_normal

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
                denoiser(x, t, for_expert(cond, name)).sum().item()  # a sum waits for the device
                measured.append(time.perf_counter() - begun)
        found[name] = statistics.median(measured[1:])
    return found


def given_seconds(text: str, experts: Collection[str]) -> dict[str, float]:
    """``video=.2,image=.05`` as seconds by expert.

    Raises:
        InputError: another form, an expert that there is not or twice, or no seconds of 0 or more.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not equals or not 0.0 <= seconds < math.inf:
            raise InputError(
                f"--seconds {text!r}: got {part.strip()!r}, expected seconds of 0 or more as video=.2,image=.05"
            )
        if name not in experts:
            raise InputError(f"--seconds of {name!r}: expected experts among {', '.join(experts)}")
        if name in found:
            raise InputError(f"--seconds {text!r} gives {name!r} twice: expected it once")
        found[name] = seconds
    return found


def measured_seconds(
    composition: Composition, plan: Plan, device: str, frames: int | None = None
) -> dict[str, float]:
    """Seconds a call of the experts for one clip of ``frames``: with their wrappers, and in windows where clips are long."""
    assert composition.ensemble is not None
    shape = composition.ensemble.latents(frames)
    prompt = next(iter(composition.ensemble.prompts), "")
    return seconds_per_call(
        composition.sampler(shape[1]), plan, shape, composition.condition([prompt]), device
    )
