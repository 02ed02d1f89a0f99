"""What is garbage in the tests' process, which no fork of it may collect.

Finalizers of FFmpeg's scalers and decoders wait for their threads, and a fork has none of them.
"""

from __future__ import annotations

import gc
import os

__all__ = ["keep_from_forks"]

kept = True
"""Whether forks leave it alone; a test of code that sees to it by itself sets it to False."""


def keep_from_forks() -> None:
    """Freeze all objects before each fork."""
    os.register_at_fork(before=lambda: gc.freeze() if kept else None)
