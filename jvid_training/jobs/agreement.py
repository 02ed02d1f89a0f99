"""What the processes of a job have to have in common, compared at its start: files, and folders that all of them see."""

from __future__ import annotations

import hashlib
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from jvid.errors import InputError
from jvid.refusals import refused
from jvid_training.jobs.ranks import Ranks

__all__ = ["check_agreement", "digest", "is_shared"]

_PATIENCE = 10.0
"""Seconds in which a new file becomes visible on a network's file system."""


def digest(data: bytes | Path) -> str:
    """SHA-256 of bytes or of a file's content; "absent" where there is no such file."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    try:
        with data.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "absent"


def check_agreement(ranks: Ranks, facts: Mapping[str, str]) -> None:
    """Compare values that have to be the same in all processes; collective.

    Args:
        ranks: this process in its job.
        facts: a short value, such as a `digest`, by what it is of: "the recipe".

    Raises:
        InputError: they differ; the message names what, and the machines.
    """
    host = socket.gethostname()
    every = ranks.gather((host, dict(facts)))
    first_host, first = every[0]
    for rank, (other, theirs) in enumerate(every):
        for name, value in first.items():
            if theirs.get(name) != value:
                raise InputError(
                    f"{name}: process {rank} on {other} has others than process 0 on {first_host}; give every process the same"
                )


def is_shared(folder: Path, ranks: Ranks) -> bool:
    """Whether all processes see one folder, and not folders of the same name on disks of their own; collective.

    Raises:
        InputError: the first process cannot write to it.
    """
    if ranks.world == 1:
        return True
    token, path = ranks.broadcast(secrets.token_hex(8)), folder / ".shared"
    if ranks.rank == 0:
        try:
            path.write_text(token)
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {refused(error)}; give another folder") from error
    ranks.wait()
    seen = ranks.gather(_holds(path, token))
    # Another look for processes of a file system that shows new files late; all of them, so that each ends at once.
    until = time.monotonic() + _PATIENCE
    while not all(seen) and ranks.broadcast(time.monotonic() < until):
        time.sleep(0.5)
        seen = ranks.gather(_holds(path, token))
    if ranks.rank == 0:
        with suppress(OSError):
            path.unlink()
    return all(seen)


def _holds(path: Path, token: str) -> bool:
    try:
        return path.read_text() == token
    except OSError:
        return False
