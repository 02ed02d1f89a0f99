"""The processes of a job end together: an error in one of them is the message of all.

A process that raises leaves the others in a collective call, which fails when its connection closes (gloo) or never (NCCL). So
it stores its message first; a thread in every process looks for one each half second, and the process that raises waits until
all have it. Where a process is still in such a call half a minute later, its thread ends it.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from jvid.errors import JvidError, one_line
from jvid_training.jobs.ranks import Ranks

__all__ = ["JobError", "together"]

_EVERY = 0.5
_PATIENCE = 10.0
_STUCK = 30.0
_COLLECTIVE = re.compile(r"gloo/|NCCL|Connection (?:closed|reset) by peer|Socket", re.IGNORECASE)


class JobError(JvidError, RuntimeError):
    """Another process of the job has ended."""


@contextmanager
def together(ranks: Ranks) -> Iterator[None]:
    """An error within the block ends all processes of the job, each with the message of the one that raised first.

    Raises:
        JobError: another process has ended; the message is its own.
    """
    if ranks.world == 1:
        yield
        return
    board = _Board(ranks)
    try:
        yield
    except JvidError as error:
        board.publish(f"{error}")
        raise
    except Exception as error:
        collective = isinstance(error, RuntimeError) and _COLLECTIVE.search(str(error))
        if collective:
            raise JobError(board.message() or _SILENT) from error
        board.publish(one_line(error, typed=True))
        raise
    finally:
        board.close()


_SILENT = (
    "another process of the job has ended without a message, as one that is killed does: start the same command again, "
    "it goes on from the last checkpoint"
)


class _Board:
    """Where the processes of a job leave the message of the first that ends."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        main = ranks.rank == 0
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        own = _store(host, 0, first=True) if main else None
        port = ranks.broadcast(0 if own is None else own.port)
        self._store = _store(host, port, first=False) if own is None else own
        self._found_message: str | None = None
        self._found, self._closed = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def publish(self, message: str) -> None:
        """Leave a message, unless another process did, and wait until the others have it."""
        with suppress(RuntimeError):  # the process that holds the board is gone
            self._store.compare_set("message", "", f"process {self._ranks.rank}: {message}")
            until = time.monotonic() + _PATIENCE
            while time.monotonic() < until and self._store.add("read", 0) < self._ranks.world:
                time.sleep(_EVERY / 5)

    def message(self) -> str | None:
        """The message of another process; None where there is none after a while."""
        self._found.wait(4 * _EVERY)
        return self._found_message

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _watch(self) -> None:
        try:
            while not self._store.check(["message"]):
                if self._closed.wait(_EVERY):
                    return
            self._found_message = self._store.get("message").decode()
            self._found.set()
            self._store.add("read", 1)
        except RuntimeError:
            return
        if not self._closed.wait(_STUCK):
            print(f"jvid: error: {self._found_message}", file=sys.stderr, flush=True)
            os._exit(2)


def _store(host: str, port: int, *, first: bool) -> Any:
    return dist.TCPStore(  # type: ignore[attr-defined]
        host, port, is_master=first, wait_for_workers=False, timeout=timedelta(seconds=60)
    )
