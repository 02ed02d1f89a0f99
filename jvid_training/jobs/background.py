"""Work in a thread of its own: one piece at a time, or the next item while one is used.

The error of a piece of work is raised where the next one is given, or at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["Background", "ahead"]

T = TypeVar("T")


class Background:
    """A thread for work that the caller does not wait for, such as writing a checkpoint."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._work: Future[Any] | None = None

    def submit(self, work: Callable[[], Any]) -> None:
        """Begin a piece of work, once the one before has ended; raises the error of that one."""
        self.wait()
        self._work = self._threads.submit(work)

    def check(self) -> None:
        """Raise the error of work that has failed; returns at once."""
        if self._work is not None and self._work.done():
            self.wait()

    def wait(self) -> None:
        """Until the work has ended; raises its error."""
        if self._work is not None:
            work, self._work = self._work, None
            work.result()

    def close(self) -> None:
        """Until the work has ended, whatever becomes of it."""
        self._threads.shutdown()


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, of which a thread makes the next while one is used."""
    with ThreadPoolExecutor(1) as thread:
        end = object()
        waiting = thread.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = thread.submit(next, items, end)
            yield item  # type: ignore[misc]
