"""The memory that a run may take: what is free, within a container's limit, shared by the processes of a job.

    free   CPU   min(MemAvailable, what the control groups grant) / LOCAL_WORLD_SIZE
           CUDA  free on the device, with what torch holds and does not use

A bound in bytes is for all that the process holds, its networks among it, so what it holds already is taken from it; a share is
of what is free, so it is room in itself.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid.machine import cgroups
from jvid.machine.cores import local_world_size

if TYPE_CHECKING:
    import torch

__all__ = ["MemoryLimit", "format_bytes", "free_bytes", "held_bytes", "weights_room"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
          "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}  # fmt: skip
_UNKNOWN = 4 * 10**9
"""Taken as free where the system does not report it."""


@attrs.frozen
class MemoryLimit:
    """Either ``total`` bytes of the process, or a ``share`` in (0, 1] of what is free; half of it by default."""

    total: int | None = None
    share: float = 0.5

    @classmethod
    def parse(cls, text: str) -> MemoryLimit:
        """``2GB``, ``1.5GiB`` or ``800M`` is a total; ``0.5`` or ``50%`` a share.

        Raises:
            InputError: another form, nothing, or a share of more than 1.
        """
        match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(%|[KMGT]I?B?|B)?\s*", text.upper(), re.ASCII)
        number = float(match[1]) if match else 0.0
        unit = (match[2] or "") if match else ""
        if unit in ("", "%"):
            share = number / 100 if unit else number
            if 0.0 < share <= 1.0:
                return cls(share=share)
        elif math.isfinite(total := number * _UNITS[unit.removesuffix("B")]) and total >= 1:
            return cls(total=int(total))
        raise InputError(
            f"memory {text!r}: expected bytes with a unit as 2GB, or a share of what is free as 0.5"
        )

    def room(self, free: int, held: int) -> int:
        """Bytes that may still be taken, 0 or more, where ``free`` are free and the process holds ``held``.

        A total is a promise of whoever gave it: what is free does not change it.
        """
        return int(self.share * free) if self.total is None else max(0, self.total - held)


def free_bytes(device: torch.device | str = "cpu", root: Path = Path("/")) -> int:
    """Bytes that this process may take on a device; ``root`` is the folder that holds ``proc`` and ``sys``.

    Raises:
        InputError: ``LOCAL_WORLD_SIZE`` is no whole number of 1 or more.
    """
    import torch

    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    found = [bytes_ for bytes_ in (_available(root), cgroups.free_memory(root)) if bytes_ is not None]
    return min(found, default=_UNKNOWN) // local_world_size()


def held_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that this process holds now: on CUDA those of torch's tensors, elsewhere its resident memory."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        import resource
        import sys

        # The most that it ever held: macOS reports it in bytes, others in KiB.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most * (1 if sys.platform == "darwin" else 1024)
    return pages * os.sysconf("SC_PAGE_SIZE")


def weights_room(device: torch.device | str) -> int:
    """Bytes of weights that fit on a device with what networks compute: three quarters of what is free."""
    return free_bytes(device) * 3 // 4


def format_bytes(count: int) -> str:
    """Bytes for people, below a gigabyte rounded up: ``1.5 kB``, ``87 MB``, ``1.3 GB``."""
    if count >= 10**18:  # which a float of any number of bytes may not hold
        return f"more than {10**9} GB"
    if count >= 10**9:
        return f"{count / 1e9:.1f} GB"
    unit, size = ("MB", 10**6) if count >= 10**6 else ("kB", 10**3)
    return f"{math.ceil(10 * count / size) / 10:g} {unit}"


def _available(root: Path) -> int | None:
    """What the kernel thinks can be taken without swapping, from /proc/meminfo; else the free pages; else None."""
    try:
        text = (root / "proc/meminfo").read_text(encoding="ascii")
    except (OSError, UnicodeError):
        text = ""
    if match := re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE):
        return int(match[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None  # not on macOS
