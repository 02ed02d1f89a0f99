"""The start of a run, and the state from which it continues after any step.

    x = hypot(alpha, sigma) z at the first level,   z ~ N(0, I) keyed by the clip's seed

hypot(alpha, sigma) is the deviation there of data of variance 1: 1 on a variance-preserving
schedule, so that x is the paper's N(0, I); about sigma_max on a variance-exploding one. A noise sampler may
shape z across frames; its own deviation is divided out. A run that changes a given clip starts from

    x = alpha clean + sigma z

The noise of a run's steps is keyed by its seeds. In a run from given latents it is keyed by seed and latents, since another
run with the same seeds may have made them: its noise is in them, and would be added twice.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.core.plan import Plan
from jvid.core.protocols import Level, Step
from jvid.core.provenance import annotate
from jvid.core.scope import RunScope
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import NoiseSampler

__all__ = ["State", "check_initial", "start", "streams_of"]


@attrs.frozen(eq=False)
class State:
    """A run after one of its steps, to be shown, pickled or resumed.

    Attributes:
        plan: of the run.
        step: the one just done; ``next`` is the one to come.
        seeds: of the clips, in order.
        x: ``(b c f h w)`` at ``step.end``. Not to be changed in place: the next step reads it.
        x_0: the last prediction of the step, of x's shape.
        memory: the solver's.
        calls: evaluations of each expert so far.
        seconds: spent in them so far, by expert.
        strategy: what made it (``jvid.core.fingerprint``); another one is refused on resuming.
        streams: what the noise of the steps is keyed by, one number a clip; empty is the seeds.
        scope: of the run, by which experts know what they keep for it. A run that is resumed goes on in it, unless the first one
            still goes on; a state that was pickled begins another.
    """

    plan: Plan
    step: Step
    seeds: tuple[int, ...]
    x: Tensor
    x_0: Tensor
    memory: Any
    calls: Mapping[str, int]
    seconds: Mapping[str, float]
    strategy: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    streams: tuple[int, ...] = attrs.field(default=(), repr=False)
    scope: RunScope = attrs.field(factory=RunScope, repr=False)

    @property
    def next(self) -> Step | None:
        """The step that comes next, None after the last."""
        following = self.step.index + 1
        return self.plan.steps[following] if following < len(self.plan) else None


_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def start(
    shape: Sequence[int] | None,
    seeds: Sequence[int],
    level: Level,
    x: Tensor | None = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    initial: NoiseSampler | None = None,
    clean: Tensor | None = None,
) -> Tensor:
    """The latents ``(b c f h w)`` that a run starts from: x, checked, or keyed noise, alone or on a clip.

    Args:
        shape: ``(c, f, h, w)`` of one clip; may be None with ``x``.
        seeds: one a clip.
        level: the first of the plan, that of x.
        x: latents to take as they are.
        dtype: float32 or float64, or its name; x's if it is one of them, else float32.
        device: x's or the CPU if None.
        initial: shapes the noise; independent if None.
        clean: latents ``(c, f, h, w)`` of a clip that the noise of the level is added to; None is noise alone.

    Raises:
        InputError: another dtype, a shape that is not one, an x of another shape, noise of another shape, or a clip of another.
    """
    if dtype is not None and str(dtype).removeprefix("torch.") not in _DTYPES:
        raise InputError(
            f"dtype {dtype} of latents: expected float32 or float64; experts may compute in less"
        )
    dtype = None if dtype is None else _DTYPES[str(dtype).removeprefix("torch.")]
    if shape is not None and (len(shape) != 4 or min(shape) < 1):
        raise InputError(f"shape {tuple(shape)}: expected (channels, frames, height, width) of one clip")
    if x is None:
        if shape is None:
            raise InputError("no shape: expected (channels, frames, height, width), or latents x")
        # Scaled in float64, so that both dtypes start from the same numbers.
        z = _first_noise(shape, seeds, initial)
        if clean is None:
            z = math.hypot(level.alpha, level.sigma) * z
        elif tuple(clean.shape) != tuple(shape):
            raise InputError(
                f"clips of shape {tuple(shape)} from a given one of {tuple(clean.shape)}: expected its shape"
            )
        else:
            z = level.alpha * clean.to("cpu", torch.float64) + level.sigma * z
        return z.to(dtype or torch.float32).to(device or "cpu")
    if x.ndim != 5 or x.shape[0] != len(seeds):
        raise InputError(f"x of shape {tuple(x.shape)}: expected (b, c, f, h, w) with b = {len(seeds)} seeds")
    if shape is not None and tuple(x.shape[1:]) != tuple(shape):
        raise InputError(f"x of shape {tuple(x.shape)}: expected clips of shape {tuple(shape)}")
    if dtype is None:
        dtype = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
    return torch.empty_like(x, dtype=dtype, device=device or x.device).copy_(x)  # x stays the caller's


def streams_of(x: Tensor, seeds: Sequence[int]) -> tuple[int, ...]:
    """What the noise of a run from latents ``(b c f h w)`` is keyed by: one number a clip, of its seed and its latents alone."""
    digests = (
        hashlib.blake2b(
            f"{seed} ".encode() + clip.detach().cpu().contiguous().numpy().tobytes(), digest_size=16
        )
        for seed, clip in zip(seeds, x, strict=True)
    )
    return tuple(int.from_bytes(digest.digest(), "little") for digest in digests)


def check_initial(initial: NoiseSampler | None) -> None:
    """Refuse a noise sampler that declares no deviation to scale by."""
    std = getattr(initial, "std", 1.0)
    if not 0.0 < std < math.inf:
        raise InputError(
            f"initial noise {type(initial).__name__} declares a deviation of {std!r}: expected one above 0, because a run "
            "starts from noise"
        )


def _first_noise(shape: Sequence[int], seeds: Sequence[int], initial: NoiseSampler | None) -> Tensor:
    """``(b, *shape)`` of deviation 1 in float64."""
    if initial is None:
        return keyed_normal(seeds, ("initial",), shape, torch.float64)

    def draw(name: str, shape: Sequence[int]) -> Tensor:
        if shape[0] != len(seeds):
            raise InputError(f"draw {name!r} of shape {tuple(shape)}: expected it to lead with {len(seeds)}")
        return keyed_normal(seeds, ("initial", name), shape[1:], torch.float64)

    whole = (len(seeds), *shape)
    try:
        z = initial(whole, draw)
    except Exception as error:
        annotate(error, "the initial noise", initial)
        raise
    if z.shape != whole:
        raise InputError(f"initial noise has shape {tuple(z.shape)}: expected {whole}")
    return z / getattr(initial, "std", 1.0)
