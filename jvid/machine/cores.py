"""The number of threads of a process where several share one machine.

    threads = max(1, cores / LOCAL_WORLD_SIZE)      cores that this process may run on, within the quota of its container

Threads beyond the cores wait for each other at the end of each operation: two processes that take all cores each are slower
than two that take half. ``LOCAL_WORLD_SIZE`` is how many processes of one job run on the machine; torchrun and accelerate set it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jvid.errors import InputError
from jvid.limits import check_most, whole_number
from jvid.machine import cgroups

__all__ = ["local_world_size", "set_threads", "threads_for", "usable_cores"]


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy, at least 1: its affinity, within its container's quota.

    ``root`` is the folder that holds ``proc`` and ``sys``.
    """
    # Not on every system, and it knows of taskset and cpusets, which the count of the machine's cores does not.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quota = cgroups.cores(root)
    return max(1, cores if quota is None else min(cores, int(quota)))


def local_world_size(environ: Mapping[str, str] | None = None) -> int:
    """Processes of this job on this machine, itself among them; 1 where ``LOCAL_WORLD_SIZE`` is not set.

    Raises:
        InputError: it is no whole number of 1 or more.
    """
    value = (os.environ if environ is None else environ).get("LOCAL_WORLD_SIZE", "").strip() or "1"
    if (size := whole_number(value, 1)) is None:
        raise InputError(
            f"LOCAL_WORLD_SIZE={value!r}: expected how many processes share the machine, 1 or more; or unset it"
        )
    return size


def threads_for(
    requested: int | None,
    cores: int,
    usual: int,
    environ: Mapping[str, str] | None = None,
    like: int | None = None,
) -> int | None:
    """Threads to set, or None to leave what torch has.

    Args:
        requested: by an option or a recipe; it goes before all else.
        cores: that the process may use.
        usual: threads that torch has taken; the share is never more.
        environ: of the process if None. Where it has ``OMP_NUM_THREADS``, torch follows that: then None.
        like: of a run to repeat, taken where no number is requested and the share allows it.

    Raises:
        InputError: ``LOCAL_WORLD_SIZE`` is no whole number of 1 or more.
    """
    environ = os.environ if environ is None else environ
    if requested is not None:
        check_most("threads", requested, max(64, 8 * cores), f"this process may use {cores} cores")
        return requested
    if environ.get("OMP_NUM_THREADS", "").strip():
        return None
    share = max(1, cores // local_world_size(environ))
    if like is not None and 1 <= like <= share:
        return like
    return share if share < usual else None


def set_threads(requested: int | None = None, like: int | None = None) -> int:
    """Set the number of torch's threads, and return how many it has; see ``threads_for``.

    Raises:
        InputError: ``LOCAL_WORLD_SIZE`` is no whole number of 1 or more.
    """
    import torch

    threads = threads_for(requested, usable_cores(), torch.get_num_threads(), like=like)
    if threads is not None:
        torch.set_num_threads(threads)
    return torch.get_num_threads()
