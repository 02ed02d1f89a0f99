"""Signals that stop a run, and the exit code that it ends with.

    SIGINT     Ctrl-C                                      130
    SIGTERM    a scheduler that ends or preempts a job      75
    SIGUSR1    slurm, some time before its limit            75
    SIGHUP     a terminal that is closed                    75

75 is EX_TEMPFAIL of sysexits.h, "try again later": the state is saved, and the same command goes on from it. Schedulers can be
configured to start a job with one exit code again; 128 + n would also be that of a process which a signal has killed.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["TRY_AGAIN", "StopRequest", "exit_code"]

TRY_AGAIN = 75
_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")


def exit_code(number: int) -> int:
    """The exit code of a command that a signal has stopped after it saved its state."""
    return 130 if number == signal.SIGINT else TRY_AGAIN


class StopRequest:
    """Whether a signal came in within the ``with`` block, which finishes its work and then looks here.

    A second Ctrl-C interrupts at once. Handlers belong to the main thread: in another one there are none, and `request` stops
    the run.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """Of the signal."""
        self._before: dict[int, Any] = {}

    def request(self, number: int = signal.SIGTERM) -> None:
        """Request a stop, as the signal does."""
        self.number = number

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                if number is not None:  # some do not exist on every system
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.request(number)
        if number == signal.SIGINT:
            signal.signal(number, self._before[number])
