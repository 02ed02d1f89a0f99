"""The state of the process around a plugin's code, with several threads."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

import pytest

from jvid.errors import InputError
from jvid.plugins import isolation
from jvid.plugins.isolation import preserving_process_state


def test_one_thread_may_enter_again() -> None:
    before = sys.stdout
    with preserving_process_state():
        with preserving_process_state():
            assert sys.stdout is sys.stderr
        assert sys.stdout is sys.stderr
    assert sys.stdout is before


def test_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first is inside, and leaves after it: each finds and leaves the streams as they were."""
    before, came, first_left = sys.stdout, threading.Event(), threading.Event()
    raised: list[InputError] = []
    lock = isolation.LOCK

    class Watched:
        """The lock, which reports that the second thread waits for it."""

        def __enter__(self) -> None:
            if threading.current_thread() is second:
                came.set()
            lock.acquire()

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            lock.release()

    def enter() -> None:
        try:
            with preserving_process_state():
                came.set()  # inside, where nothing makes it wait
                first_left.wait()
        except InputError as error:
            raised.append(error)

    second = threading.Thread(target=enter)
    monkeypatch.setattr(isolation, "LOCK", Watched())
    try:
        try:
            with preserving_process_state():
                second.start()
                came.wait()
        except InputError as error:
            raised.append(error)
        first_left.set()
        second.join()
        assert raised == []
        assert sys.stdout is before
    finally:
        sys.stdout = before
