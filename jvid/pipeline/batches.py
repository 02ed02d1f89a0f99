"""Batches of clips: as many as a limit of memory allows, of a given size, or as a record has them.

    a clip   = 1.6 (peak of one call of the hungriest expert + latents of solver and noise)
    at most  = room / a clip
    batches  = as few as that allows, and as even

One call of each expert for a batch of one is measured; what does not grow with the batch counts as if it did, so the figure errs
to the safe side. 1.6 is for what operations take inside themselves and what the allocator keeps; neither shows in tensors, and
the process of the bundled pair grows on the CPU by 1.2 to 1.5 times the peak for each clip of a batch.

With real networks a clip's last bits depend on the batch that it is computed in. So a record holds its clips' batches in
full, and ``--again`` computes those: one clip of a batch of six costs six, and is the same bit for bit.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid.limits import whole_number
from jvid.pipeline.record import BatchRecord, Clip

if TYPE_CHECKING:
    import torch

    from jvid.core.conditions import PerExpert
    from jvid.core.plan import Plan
    from jvid.core.protocols import Condition, Denoiser
    from jvid.core.sampler import Sampler
    from jvid.machine.memory import MemoryLimit
    from jvid.pipeline.record import Record

__all__ = ["Batching", "bytes_per_clip", "check_latents_fit", "even_batches", "max_batch_size"]

_LATENTS = 16
"""Float32 latents of a clip beside the network: x, x_0, a solver's memory, noise in float64, a state."""

_BEYOND = 1.6
"""What a clip takes of memory, to what its tensors do."""


def max_batch_size(room: int, clip: int) -> int:
    """The largest batch that fits; 0 where not even one clip does.

    Args:
        room: bytes that may be taken, 0 or more.
        clip: bytes that a clip takes, 1 or more.
    """
    return room // clip


def even_batches(count: int, largest: int) -> tuple[int, ...]:
    """Sizes of as few batches of at most ``largest`` as hold ``count``, none of them two larger than another.

    Raises:
        InputError: either is less than 1.
    """
    if count < 1 or largest < 1:
        raise InputError(f"{count} clips in batches of {largest}: expected 1 or more of both")
    batches = math.ceil(count / largest)
    size, more = divmod(count, batches)
    return (size + 1,) * more + (size,) * (batches - more)


def check_latents_fit(shape: Sequence[int], device: torch.device | str = "cpu") -> None:
    """Refuse clips of ``(c, f, h, w)`` of which not even the latents of one fit, before any are made.

    Raises:
        InputError: with the bytes that they take.
    """
    from jvid.machine.memory import format_bytes, free_bytes

    needed, free = 4 * _LATENTS * math.prod(shape), free_bytes(device)
    if needed > free:
        raise InputError(
            f"clips of latents {'x'.join(map(str, shape))}: those of one take {format_bytes(needed)}, {format_bytes(free)} are "
            "free; give fewer frames"
        )


def bytes_per_clip(
    sampler: Sampler,
    plan: Plan,
    shape: Sequence[int],
    cond: Condition | PerExpert,
    device: torch.device | str = "cpu",
    *,
    moved: bool = False,
) -> int:
    """Bytes that each clip of a batch takes beside the networks; it costs a call of each expert of the plan.

    Args:
        sampler: whose experts are called.
        plan: with steps on the sampler's schedule.
        shape: ``(c, f, h, w)`` of one clip.
        cond: of a batch of one.
        device: of the latents.
        moved: whether weights are moved in at a call: then each is called once before, which is not measured.

    Raises:
        InputError: the plan names an expert that the sampler does not have.
    """
    import torch

    from jvid.core.conditions import for_expert
    from jvid.machine.peak import peak_bytes

    x = torch.zeros(1, *shape, device=device)
    latents = _LATENTS * x.numel() * x.element_size()
    peak = 0
    for name, count in plan.counts.items():
        if not count:
            continue
        if name not in sampler.experts:
            raise InputError(f"the plan names {name!r}: expected experts among {list(sampler.experts)}")
        denoiser = _at_its_dearest(sampler, name)
        level = next(step.start for step in plan.steps if name in step.weights)
        own = for_expert(cond, name)
        # Metal has no float64.
        dtype = torch.float32 if x.device.type == "mps" else torch.float64
        t = torch.full((), level.t, dtype=dtype, device=x.device)

        def call(denoiser: Denoiser = denoiser, t: torch.Tensor = t, own: Condition = own) -> object:
            return denoiser(x, t, own)

        with torch.no_grad():
            if moved:
                call()
            peak = max(peak, peak_bytes(call, device))
    return math.ceil(_BEYOND * (peak + latents))


def _at_its_dearest(sampler: Sampler, name: str) -> Denoiser:
    """The expert on the sampler's schedule; guidance that rests at some levels acts at all, as it will at its own."""
    from jvid.core.bridged import Bridged
    from jvid.denoisers.guided import Guided

    denoiser = sampler.experts[name].denoiser
    if isinstance(denoiser, Guided):
        denoiser = attrs.evolve(denoiser, interval=None)
    return denoiser if denoiser.schedule == sampler.schedule else Bridged(denoiser, sampler.schedule)


@attrs.frozen
class Batching:
    """How clips become batches: of ``size``, or those of ``repeated``, or as many as ``bound`` allows.

    ``bound`` None is half of what is free, and is not looked at for a single clip.
    """

    size: int | None = None
    bound: MemoryLimit | None = None
    repeated: tuple[BatchRecord, ...] = ()

    @classmethod
    def parse(cls, batch: str | None, memory: str | None, record: Record | None = None) -> Batching:
        """The batching of the options; without any, the clips of ``record`` are computed as they were.

        Raises:
            InputError: an option of another form, or a bound beside a size.
        """
        from jvid.machine.memory import MemoryLimit

        size = None
        if batch not in (None, "auto"):
            assert batch is not None  # for mypy
            if (size := whole_number(batch, 1)) is None:
                raise InputError(f"--batch {batch!r}: expected a number of clips, 1 or more, or auto")
        if memory is not None:
            if size is not None:
                raise InputError(f"--memory beside --batch {size}: --batch sets the size, leave one out")
            try:
                return cls(bound=MemoryLimit.parse(memory))
            except InputError as error:
                raise InputError(f"--{error}") from error
        if batch is None and record is not None:
            # Older files record no batches: each was of one clip.
            return cls(repeated=record.batches) if record.batches else cls(1)
        return cls(size)

    def together(
        self, clips: Sequence[Clip], measure: Callable[[], int], device: str
    ) -> tuple[BatchRecord, ...]:
        """The batches, in the order of the clips.

        Args:
            clips: to make.
            measure: gives the bytes that a clip takes; called only where the answer is needed.
            device: of the latents.

        Raises:
            InputError: a bound that holds not even one clip.
        """
        if self.repeated:
            return self.repeated
        if self.size is not None:
            starts = range(0, len(clips), self.size)
            return tuple(BatchRecord.whole(clips[start : start + self.size]) for start in starts)
        largest = 1 if len(clips) == 1 and self.bound is None else self._largest(measure, device)
        found, start = [], 0
        for size in even_batches(len(clips), largest):
            found.append(BatchRecord.whole(clips[start : start + size]))
            start += size
        return tuple(found)

    def _largest(self, measure: Callable[[], int], device: str) -> int:
        from jvid.machine.memory import MemoryLimit, format_bytes, free_bytes, held_bytes

        bound = self.bound or MemoryLimit()
        clip = measure()
        held = held_bytes(device)
        room = bound.room(free_bytes(device), held)
        most = max_batch_size(room, clip)
        if most < 1 and bound.total is not None:
            raise InputError(
                f"--memory of {format_bytes(bound.total)}: {format_bytes(held)} are taken already and a clip takes "
                f"{format_bytes(clip)}; expected at least {format_bytes(held + clip)}"
            )
        if sys.stderr.isatty():
            word = "clip" if most <= 1 else "clips"
            size = f"one takes {format_bytes(clip)}, {format_bytes(room)} may be taken"
            print(f"jvid: at most {max(1, most)} {word} at once: {size}", file=sys.stderr)
        return max(1, most)
