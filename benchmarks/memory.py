"""The most bytes that tensors hold while a function runs, from torch's own allocator.

    peak = max over time of  sum of the blocks allocated since the start and not yet freed

The profiler records each allocation and each release, the hidden ones too: a convolution's unfolded columns, a copy
that a kernel makes of a strided input. What was there before the start counts nothing, be it freed meanwhile or
not. oneDNN's own copies of a convolution's input and output in its blocked layout are not torch's, so not seen: they
grow with the batch as the tensors do. Resident memory is no measure here: a heap keeps or returns its pages as it likes.

`jvid.machine.peak` measures for somebody who samples, on CUDA too, and follows tensors only. It cannot use this
profiler: a process has one, and that is its user's. A figure that is claimed has to count what kernels take, which only
the profiler knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

# The profiler's start and stop are not news; it reads this once, when it is first used.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

from torch.profiler import ProfilerActivity, profile

__all__ = ["peak_bytes"]


def peak_bytes(run: Callable[[], object]) -> int:
    """The peak of ``run()``, in bytes on the CPU; its result counts, and is dropped at the end."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        run()
    blocks: dict[int, int] = {}
    held = peak = 0
    roots = record.profiler.kineto_results.experimental_event_tree()
    for _, address, size in sorted(_changes(roots), key=lambda change: change[0]):
        if size > 0:
            blocks[address] = size
            held += size
            peak = max(peak, held)
        else:  # an older block's release is not a gain
            held -= blocks.pop(address, 0)
    return peak


def _changes(roots: list) -> Iterator[tuple[int, int, int]]:
    """(nanoseconds, address, bytes: negative when freed) of every change on the CPU, in no order."""
    pending = list(roots)
    while pending:
        event = pending.pop()
        pending.extend(event.children)
        if event.tag.name == "Allocation" and event.extra_fields.device.type == "cpu":
            yield event.start_time_ns, event.extra_fields.ptr, event.extra_fields.alloc_size
