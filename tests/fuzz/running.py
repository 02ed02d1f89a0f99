"""One command within this process: what it printed, how it ended, and whether that holds."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from jvid.cli import main

__all__ = ["MEMORY", "Outcome", "Slow", "ran"]

MEMORY = 1 << 30
"""Bytes that a command may take beyond what the process has."""


class Slow(BaseException):
    """A command that goes on for longer than it is given: work, or a hang."""


@attrs.frozen
class Outcome:
    """How a command ended.

    Attributes:
        words: of the command.
        fault: what does not hold; "" where all does.
        code: its exit code; None where it was stopped.
        errors: what it printed on stderr.
    """

    words: tuple[str, ...]
    fault: str
    code: int | None
    errors: str


def ran(words: Sequence[str], seconds: int | None, outside: Path, *, bound: bool = True) -> Outcome:
    """Run a command.

    Args:
        words: without the program's name.
        seconds: of the processor, after which it is stopped, and ten times as many of the clock; None lets it take what it takes.
        outside: a folder that stays as it is.
        bound: the process's memory to `MEMORY` more than it has.
    """
    before = _tree(outside)
    stdout, stderr = io.StringIO(), io.StringIO()
    code: int | None = None
    fault = ""
    with (
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        _memory(bound),
        contextlib.nullcontext() if seconds is None else _deadline(seconds),
    ):
        try:
            code = main(list(words))
        except Slow:
            pass
        except BaseException:
            fault = f"an exception: {traceback.format_exc()[-3000:]}"
    errors = stderr.getvalue()
    own = [
        line
        for line in errors.splitlines()
        if not line.startswith(("jvid: warning: ", "warning: ", "sampling: "))
    ]
    if not fault and code is not None:
        if "Traceback" in errors:
            fault = f"a traceback: {errors[-3000:]}"
        elif code not in (0, 2):
            fault = f"exit code {code}"
        elif code == 2 and len(own) != 1:
            fault = f"{len(own)} lines on stderr"
        elif code == 2 and len(own[0]) > 3000:
            fault = f"a line of {len(own[0])} characters on stderr"
    if not fault and _tree(outside) != before:
        fault = "something outside of its folder changed"
    return Outcome(tuple(words), fault, code, errors)


def _tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


@contextlib.contextmanager
def _memory(bound: bool) -> Iterator[None]:
    if not bound:
        yield
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    def late(*_: Any) -> None:
        raise Slow

    # Processor time, so that a busy machine stops nothing; and more of the clock's, for what waits.
    timers = {
        signal.SIGPROF: (signal.ITIMER_PROF, seconds),
        signal.SIGALRM: (signal.ITIMER_REAL, 10 * seconds),
    }
    usual = {number: signal.signal(number, late) for number in timers}
    for timer, after in timers.values():
        signal.setitimer(timer, after)
    faulthandler.dump_traceback_later(
        20 * seconds, exit=True, file=sys.__stderr__
    )  # a call that no signal ends
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, usual[number])
        faulthandler.cancel_dump_traceback_later()
