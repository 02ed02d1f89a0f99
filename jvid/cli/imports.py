"""torch's import, for commands that end soon: start-up and the end of the process take most of the time of one short clip."""

from __future__ import annotations

import atexit
import gc
import sys

__all__ = ["import_torch"]


def import_torch() -> None:
    """Import torch, and do not look for garbage among its objects: they stay until the process ends.

    Python's collector looks through all objects again and again while they are made, and once more when the process ends.
    The first takes a seventh of the import, the second three quarters of the end. Nothing changes where torch is imported.
    """
    if "torch" in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        if collects:
            gc.enable()
    gc.freeze()
    atexit.register(gc.freeze)  # what the command made, too
