"""The device that computes: whether it is there, and the processor's threads."""

from __future__ import annotations

from jvid.errors import InputError

__all__ = ["prepare"]


def prepare(device: str, threads: int | None = None, like: int | None = None) -> int | None:
    """Refuse a device that is not there, before anything is loaded; take ``threads``, or a share of the cores.

    ``like`` is what a run had that is repeated. Returns the threads that compute; None where a processor does not.
    """
    import torch

    from jvid.machine.cores import set_threads

    taken = set_threads(threads, like)
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"--device {device!r} cannot be used ({reason}): expected one such as cpu or cuda"
        ) from error
    return taken if torch.device(device).type == "cpu" else None
