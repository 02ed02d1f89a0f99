"""The device that computes: whether it is there, and the processor's threads."""

from __future__ import annotations

from jvid.errors import InputError, one_line

__all__ = ["check_device", "prepare"]

_KINDS = ("cpu", "cuda", "mps", "xpu")


def check_device(device: object, option: str = "device") -> None:
    """Refuse a device that torch does not know, or that this machine does not have, before anything is loaded.

    ``option`` begins the message.

    Raises:
        InputError: in one line, with the reason, the devices that there are, and what to do.
    """
    if device == "cpu":
        return  # without loading torch
    import torch

    try:
        kind = torch.device(device).type  # type: ignore[call-overload]
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"{option} {str(device)!r} cannot be used ({_reason(error)}): expected one of {', '.join(_KINDS)}, or one of "
            "several by its number, such as cuda:1"
        ) from error
    try:
        torch.zeros(1, device=device)  # type: ignore[call-overload]
    except (RuntimeError, AssertionError, ImportError) as error:
        usable = _usable()
        remedy = f"expected {' or '.join(usable)}"
        if not any(each.startswith(kind) for each in usable):
            remedy += f"; for {kind} install its driver and a build of torch that has it (this one is {torch.__version__})"
        raise InputError(f"{option} {str(device)!r} cannot be used ({_reason(error)}): {remedy}") from error


def prepare(device: str, threads: int | None = None, like: int | None = None) -> int | None:
    """Refuse a device that is not there, before anything is loaded; take ``threads``, or a share of the cores.

    ``like`` is what a run had that is repeated. Returns the threads that compute; None where a processor does not.
    """
    import torch

    from jvid.machine.cores import set_threads

    taken = set_threads(threads, like)
    check_device(device, "--device")
    return taken if torch.device(device).type == "cpu" else None


def _usable() -> list[str]:
    """The devices of this machine: the processor, and each of its accelerators."""
    import torch

    found = ["cpu"]
    for kind in _KINDS[1:]:
        module = getattr(torch, kind, None)
        if module is not None and module.is_available():
            found += [f"{kind}:{number}" for number in range(module.device_count())]
    return found


def _reason(error: Exception) -> str:
    """The first sentence of an error of torch."""
    return one_line(error, first=True).partition(". ")[0].rstrip(".")
