"""torch's import, for commands that end soon: start-up and the end of the process take most of the time of one short clip."""

from __future__ import annotations

import atexit
import gc
import sys

__all__ = ["import_torch", "own_process"]

_own = False


def own_process() -> None:
    """State that the process is the command's own: no other code of it needs the collector when it ends."""
    global _own
    _own = True


def import_torch() -> None:
    """Import torch, and do not look for garbage among its objects: they stay until the process ends.

    Python's collector looks through all objects again and again while they are made, and once more when the process ends.
    The first takes a seventh of the import, the second three quarters of the end. Nothing is done where torch is imported, or
    where the process is not the command's own: frozen objects are never collected, and `__del__` of theirs is not called.
    """
    if "torch" in sys.modules or not _own:
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
