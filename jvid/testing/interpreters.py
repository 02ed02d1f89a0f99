"""Other interpreters: what a component answers in one that hashes text otherwise, and what a script prints in a new one.

An interpreter that answers is started once for each hash seed and kept. Importing torch takes it seconds, so it has the schedules
of steps when they are used, which few selectors do.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

__all__ = ["NotTransferable", "answers", "run_script"]

_SERVER = """
import io, json, pickle, sys

class Later:  # a schedule
    def __init__(self, data):
        self.__dict__["data"] = data
    def made(self):
        if "schedule" not in self.__dict__:
            self.__dict__["schedule"] = pickle.loads(self.__dict__["data"])
        return self.__dict__["schedule"]
    def __call__(self, *arguments):
        return self.made()(*arguments)
    def __getattr__(self, name):
        return getattr(self.made(), name)

class Unpickler(pickle.Unpickler):
    def persistent_load(self, data):
        return Later(data)

out, sys.stdout = sys.stdout, sys.stderr  # a component may print
for line in sys.stdin:
    path, *data = json.loads(line)
    sys.path[:] = path
    try:
        subject, questions = (Unpickler(io.BytesIO(bytes.fromhex(each))).load() for each in data)
    except Exception as error:
        answer = {"foreign": f"{type(error).__name__}: {error}"}
    else:
        try:
            answer = {"answers": [{k: float(v) for k, v in subject(*each).items()} for each in questions]}
        except Exception as error:
            answer = {"raised": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=out, flush=True)
"""


class NotTransferable(Exception):
    """Another interpreter cannot have the component: it cannot be pickled here, or not imported there."""


class _Pickler(pickle.Pickler):
    """Schedules are pickled apart."""

    def __init__(self, file: io.BytesIO, questions: Sequence[tuple[Any, ...]]) -> None:
        super().__init__(file)
        schedules = [getattr(value, "schedule", None) for each in questions for value in each]
        self._apart = {id(each): pickle.dumps(each) for each in schedules if each is not None}

    def persistent_id(self, obj: Any) -> bytes | None:
        return self._apart.get(id(obj))


def answers(seed: int, subject: Any, questions: Sequence[tuple[Any, ...]]) -> list[dict[str, float]]:
    """``dict(subject(*each))`` for each of the questions, in an interpreter of this hash seed.

    Raises:
        NotTransferable: the subject cannot be brought there.
        AssertionError: it raises there.
    """
    try:
        pickled = io.BytesIO()
        _Pickler(pickled, questions).dump(questions)
        data = [pickle.dumps(subject).hex(), pickled.getvalue().hex()]
    except Exception as error:
        raise NotTransferable(f"it is not pickled: {error}") from None
    process = _server(seed, os.getpid())
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps([sys.path, *data]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        _server.cache_clear()
        raise AssertionError("another process ends without an answer")
    answer = json.loads(line)
    if "foreign" in answer:
        raise NotTransferable(f"another process cannot import it: {answer['foreign']}")
    assert "raised" not in answer, f"in another process it raises {answer['raised']}"
    found: list[dict[str, float]] = answer["answers"]
    return found


def run_script(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A script in a new interpreter, with its output."""
    return subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=120)


@cache
def _server(seed: int, parent: int) -> subprocess.Popen[str]:
    """The interpreter of a hash seed; ``parent`` is the process that uses it, as a fork has to start its own."""
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    atexit.register(_end, process, parent)
    return process


def _end(process: subprocess.Popen[str], parent: int) -> None:
    if os.getpid() == parent:
        process.kill()
        process.wait()
