"""What the workers of the pool's tests run."""

from __future__ import annotations

import os
import signal

from jvid.errors import InputError
from jvid_training.jobs.pool import Worker


def double(worker: Worker, times: int) -> None:
    """Answers to so many tasks, twice each; tasks of text end the process in their own ways."""
    print("what libraries print is no message")
    for _ in range(times):
        task = worker.task()
        if task == "refuse":
            raise InputError("got a text: expected a number")
        if task == "crash":
            raise ZeroDivisionError("a fault")
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        worker.send(twice=2 * task)
