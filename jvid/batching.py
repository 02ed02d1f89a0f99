"""How many clips to compute at once under a bound of memory.

    a clip   = 1.6 (peak of one call of the hungriest expert + latents of solver and noise)
    at most  = room / a clip
    batches  = as few as that allows, and as even

One call of each expert for a batch of one is measured; what does not grow with the batch counts as if it did, so the figure errs
to the safe side. 1.6 is for what operations take inside themselves and what the allocator keeps; neither shows in tensors, and
the process of the bundled pair grows on the CPU by 1.2 to 1.5 times the peak for each clip of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError

if TYPE_CHECKING:
    import torch

    from jvid.plan import Plan
    from jvid.protocols import Condition, Denoiser
    from jvid.sampler import Sampler

__all__ = ["at_most", "bytes_per_clip", "even"]

_LATENTS = 16
"""Float32 latents of a clip beside the network: x, x_0, a solver's memory, noise in float64, a state."""

_BEYOND = 1.6
"""What a clip takes of memory, to what its tensors do."""


def at_most(room: int, clip: int) -> int:
    """The largest batch that fits; 0 where not even one clip does.

    Args:
        room: bytes that may be taken, 0 or more.
        clip: bytes that a clip takes, 1 or more.
    """
    return room // clip


def even(count: int, largest: int) -> tuple[int, ...]:
    """Sizes of as few batches of at most ``largest`` as hold ``count``, none of them two larger than another.

    Raises:
        InputError: either is less than 1.
    """
    if count < 1 or largest < 1:
        raise InputError(f"{count} clips in batches of {largest}: expected 1 or more of both")
    batches = math.ceil(count / largest)
    size, more = divmod(count, batches)
    return (size + 1,) * more + (size,) * (batches - more)


def bytes_per_clip(
    sampler: Sampler,
    plan: Plan,
    shape: Sequence[int],
    cond: Condition,
    device: torch.device | str = "cpu",
) -> int:
    """Bytes that each clip of a batch takes beside the networks; costs a call of each expert that the plan asks.

    Args:
        sampler: whose experts are called.
        plan: with steps on the sampler's schedule.
        shape: ``(c, f, h, w)`` of one clip.
        cond: of a batch of one.
        device: of the latents.

    Raises:
        InputError: the plan asks an expert that the sampler has not.
    """
    import torch

    from jvid.live import peak_bytes

    x = torch.zeros(1, *shape, device=device)
    latents = _LATENTS * x.numel() * x.element_size()
    peak = 0
    for name, count in plan.counts.items():
        if not count:
            continue
        if name not in sampler.experts:
            raise InputError(f"the plan asks for {name!r}: expected experts among {list(sampler.experts)}")
        denoiser = _at_its_dearest(sampler, name)
        level = next(step.start for step in plan.steps if name in step.weights)
        # Metal has no float64.
        dtype = torch.float32 if x.device.type == "mps" else torch.float64
        t = torch.full((), level.t, dtype=dtype, device=x.device)

        def call(denoiser: Denoiser = denoiser, t: torch.Tensor = t) -> object:
            return denoiser(x, t, cond)

        with torch.no_grad():
            peak = max(peak, peak_bytes(call, device))
    return math.ceil(_BEYOND * (peak + latents))


def _at_its_dearest(sampler: Sampler, name: str) -> Denoiser:
    """The expert on the sampler's schedule; guidance that rests at some levels acts at all, as it will at its own."""
    from jvid.bridged import Bridged
    from jvid.guided import Guided

    denoiser = sampler.experts[name].denoiser
    if isinstance(denoiser, Guided):
        denoiser = attrs.evolve(denoiser, interval=None)
    return denoiser if denoiser.schedule == sampler.schedule else Bridged(denoiser, sampler.schedule)
