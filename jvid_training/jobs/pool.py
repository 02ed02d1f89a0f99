"""Worker processes of this machine, which end with the process that started them, however it dies.

    to a worker    its arguments, then tasks: JSON, a line each; the end of the stream means: stop at once
    from it        messages, and the error that ended it: JSON objects, a line each

A worker is a new interpreter that runs a function by its name; a file that starts workers needs no ``__main__`` guard.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

import attrs

from jvid import errors
from jvid.errors import JvidError

__all__ = ["Ended", "Pool", "Worker"]

Message = dict[str, Any]


@attrs.frozen
class Ended:
    """The end of a worker: ``code`` is its exit status, ``error`` the error of jvid that it raised."""

    code: int
    error: JvidError | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return f"error: {self.error}"
        return f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"


class Pool:
    """Workers that run ``work``, one for each of ``arguments``, within a ``with`` block; its end stops them.

    Iterating gives ``(number, message)``, and ``(number, Ended)`` once for each worker, until all have ended.

    Args:
        work: "module:function"; called as ``function(worker, **arguments)``.
        arguments: of each worker; values that JSON can hold.
    """

    def __init__(self, work: str, arguments: Sequence[Mapping[str, Any]]) -> None:
        self._work, self._arguments = work, arguments
        self._events = queue.SimpleQueue[tuple[int, Message | None]]()
        self._workers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Pool:
        try:
            for number, arguments in enumerate(self._arguments):
                self._workers.append(_started(self._work))
                self.send(number, arguments)
                threading.Thread(target=self._listen, args=(number,), daemon=True).start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for number in range(len(self._workers)):
            self.end(number)
        for worker in self._workers:
            worker.wait()

    def __iter__(self) -> Iterator[tuple[int, Message | Ended]]:
        raised: dict[int, JvidError] = {}
        for _ in self._workers:
            while True:
                number, message = self._events.get()
                if message is None:
                    break
                if "error" in message:
                    raised[number] = getattr(errors, message["kind"], JvidError)(message["error"])
                else:
                    yield number, message
            yield number, Ended(self._workers[number].wait(), raised.get(number))

    def send(self, number: int, task: Any) -> None:
        """Pass a task to a worker; nothing happens where it has ended."""
        stream = self._workers[number].stdin
        assert stream is not None
        with suppress(OSError):  # it has died, which iterating reports
            stream.write(json.dumps(task) + "\n")
            stream.flush()

    def end(self, number: int) -> None:
        """Stop a worker at once."""
        stream = self._workers[number].stdin
        assert stream is not None
        with suppress(OSError):
            stream.close()

    def hand_out(self, tasks: Iterable[Any], received: Callable[[int, Message], None], kept: str) -> None:
        """Hand tasks out one by one: a worker gets the next with each message that holds ``ready`` or ``done``.

        When a worker dies or cannot go on, no more tasks are handed out; the others finish what they have at hand.

        Args:
            tasks: values that JSON can hold.
            received: gets every message, with its worker's number.
            kept: what stays of the work that is finished, as in "finished batches".

        Raises:
            JvidError: the error of the first such worker, or how it died.
        """
        waiting, busy = deque(tasks), set(range(len(self._workers)))
        failed: JvidError | None = None
        for number, event in self:
            if isinstance(event, Ended):
                if number in busy and failed is None:
                    failed = event.error or JvidError(
                        f"process {number + 1} of {len(self._workers)} died ({event}): {kept} stay, the same command goes on"
                    )
                continue
            received(number, event)
            if not event.keys() & {"ready", "done"}:
                continue
            if waiting and failed is None:
                self.send(number, waiting.popleft())
            else:
                busy.discard(number)
                self.end(number)
        if failed is not None:
            raise failed

    def _listen(self, number: int) -> None:
        stream = self._workers[number].stdout
        assert stream is not None
        for line in stream:
            with suppress(ValueError):  # the last line of a worker that is killed may be half a line
                self._events.put((number, json.loads(line)))
        self._events.put((number, None))


def _started(work: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )  # fmt: skip


class Worker:
    """A worker's own side: tasks come in, messages go out."""

    def __init__(self, tasks: queue.SimpleQueue[Any], stream: TextIO) -> None:
        self._tasks, self._stream = tasks, stream

    def task(self) -> Any:
        """The next task, once there is one."""
        return self._tasks.get()

    def send(self, **message: Any) -> None:
        """Pass a message to the process that started the pool."""
        self._stream.write(json.dumps(message) + "\n")


def main(work: str) -> None:
    """The process of a worker."""
    # An interrupt of the keyboard reaches every process of the terminal; the parent decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no message
    lines = queue.SimpleQueue[Any]()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    worker, code = Worker(lines, out), 1
    try:
        module, _, name = work.partition(":")
        getattr(importlib.import_module(module), name)(worker, **worker.task())
        code = 0
    except JvidError as error:
        worker.send(error=str(error), kind=type(error).__name__)
        code = 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # the thread that reads cannot be joined


if __name__ == "__main__":
    main(sys.argv[1])
