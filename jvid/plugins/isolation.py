"""Running a plugin's code so that the state of the process stays as it was.

What it prints goes to stderr: stdout belongs to the command that runs. The streams, the hooks of ``sys``
and the working folder are as before afterwards; a plugin that replaced one gets an error. They belong to all threads: one
thread at a time runs a plugin's code so.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jvid.errors import InputError

__all__ = ["LOCK", "preserving_process_state"]

_HELD = ("stdin", "stdout", "stderr", "excepthook", "displayhook")

LOCK = threading.RLock()
"""Held while a plugin's code runs; registries admit plugins under it as well, so that there is no second lock to wait for."""


@contextmanager
def preserving_process_state() -> Iterator[None]:
    """Restore what the block replaces of the process's state; other threads wait, the same one may enter again.

    Raises:
        InputError: it replaced something, and raised nothing itself.
    """
    with LOCK:
        yield from _preserving()


def _preserving() -> Iterator[None]:
    before = {name: getattr(sys, name, None) for name in _HELD}
    folder = _folder()
    inside = {**before, "stdout": sys.stderr}
    sys.stdout = sys.stderr
    replaced: list[str] = []
    try:
        yield
    finally:
        replaced += [f"sys.{name}" for name in _HELD if getattr(sys, name, None) is not inside[name]]
        for name, value in before.items():
            setattr(sys, name, value)
        if folder is not None and folder != _folder():
            os.chdir(folder)
            replaced.append("the working folder")
    if replaced:
        raise InputError(f"it replaced {' and '.join(replaced)}: expected the process to be left as it was")


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed under us
        return None
