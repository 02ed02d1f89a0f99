"""Workers on this machine, to whom batches are handed out one by one.

    to a worker    the number of a batch, a line; the end of the stream means: stop at once
    from it        {"ready"}, {"part": of the batch at hand}, {"done"} or {"error", "kind"}, a line

A worker whose parent was killed reads the end of the stream, and stops too. Nothing that it leaves is half a file.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from jvid import errors
from jvid.errors import JvidError
from jvid_training.generation.spec import Spec
from jvid_training.generation.watch import Watch
from jvid_training.jobs.ranks import device_of

__all__ = ["hand_out"]


def hand_out(folder: Path, spec: Spec, missing: Sequence[int], processes: int, watch: Watch) -> None:
    """Have ``processes`` workers make the missing batches.

    When a worker dies or cannot go on, no more batches are handed out; the others finish what they have at hand.

    Raises:
        JvidError: what the first such worker said, or how it died.
    """
    waiting, heard = deque(missing), queue.SimpleQueue[tuple[int, dict[str, Any] | None]]()
    failed: JvidError | None = None
    workers = [_started(folder, spec, number, heard) for number in range(processes)]
    busy, alive = set(range(processes)), processes
    try:
        while alive:
            number, said = heard.get()
            worker = workers[number]
            if said is None:
                alive -= 1
                code = worker.wait()
                if number in busy and failed is None:
                    how = f"signal {-code}" if code < 0 else f"exit code {code}"
                    failed = JvidError(
                        f"process {number + 1} of {processes} died ({how}): finished batches stay, the same command goes on"
                    )
            elif "error" in said:
                busy.discard(number)
                failed = failed or getattr(errors, said["kind"])(said["error"])
                _end(worker)  # which it waits for
            elif "part" in said:
                watch.step(number, said["part"])
            else:
                if "done" in said:
                    watch.finished(number)
                if waiting and failed is None:
                    _send(worker, waiting.popleft())
                else:
                    busy.discard(number)
                    _end(worker)
    finally:
        for worker in workers:
            _end(worker)
        for worker in workers:
            worker.wait()
    if failed is not None:
        raise failed


def _started(
    folder: Path, spec: Spec, number: int, heard: queue.SimpleQueue[tuple[int, dict[str, Any] | None]]
) -> subprocess.Popen[str]:
    told = {"folder": str(folder), "device": device_of(spec.device, number)}
    worker = subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(told)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip

    def listen(stream: TextIO) -> None:
        for line in stream:
            with suppress(ValueError):  # the last line of a worker that is killed may be half a line
                heard.put((number, json.loads(line)))
        heard.put((number, None))

    threading.Thread(target=listen, args=(worker.stdout,), daemon=True).start()
    return worker


def _send(worker: subprocess.Popen[str], batch: int) -> None:
    assert worker.stdin is not None
    with suppress(OSError):  # it is dead, which its other stream will tell
        worker.stdin.write(f"{batch}\n")
        worker.stdin.flush()


def _end(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    with suppress(OSError):
        worker.stdin.close()


def main(folder: str, device: str) -> None:
    """A worker: makes the batches whose numbers come in, until none do."""
    # An interrupt of the keyboard reaches every process of the terminal; the parent says what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no message

    def say(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")

    orders = queue.SimpleQueue[int]()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(int(line))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    try:
        _make(Path(folder), device, orders, say)
    except JvidError as error:
        say(error=str(error), kind=type(error).__name__)
        threading.Event().wait()  # for the end of the stream


def _make(folder: Path, device: str, orders: queue.SimpleQueue[int], say: Any) -> None:
    from jvid_training.generation.making import Maker
    from jvid_training.jobs.locks import Lock
    from jvid_training.jobs.ranks import computing

    with Lock(folder, alone=False):
        spec = Spec.load(folder)
        with computing(spec.threads, device):
            ensemble = spec.ensemble.load(device, spec.dtype)
            maker = Maker(spec, ensemble, device, quiet=True)  # the parent shows the warnings
            say(ready=True)
            while True:
                batch = orders.get()
                maker.write(folder, batch, lambda part: say(part=part))
                say(done=batch)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
