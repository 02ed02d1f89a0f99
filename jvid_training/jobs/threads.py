"""Threads of a process that samples and evaluates: torch's, and those of the linear algebra under numpy and scipy.

torch's count alone leaves the latter at all cores in each of several processes, which then wait for each other.
"""

from __future__ import annotations

from threadpoolctl import threadpool_limits

from jvid.machine.cores import set_threads

__all__ = ["limit_threads"]


def limit_threads(requested: int | None = None) -> int:
    """`jvid.machine.cores.set_threads`, and numpy's BLAS to as many; returns how many.

    Raises:
        InputError: ``LOCAL_WORLD_SIZE`` is no whole number of 1 or more.
    """
    threads = set_threads(requested)
    # Not as a context: for the rest of the process.
    threadpool_limits(limits=threads, user_api="blas")
    return threads
