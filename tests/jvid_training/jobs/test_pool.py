"""Worker processes: what they send, how they end, and that none outlives its parent."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from jvid.errors import InputError, JvidError
from jvid_training.jobs import pool
from jvid_training.jobs.pool import Ended, Pool
from tests.environments import ROOT

WORK = "tests.jvid_training.jobs.work:double"


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def of(*tasks: Any, times: int = 1) -> list[tuple[int, Any]]:
    """What workers with a task each send, and how they end."""
    with Pool(WORK, [{"times": times}] * len(tasks)) as workers:
        for number, task in enumerate(tasks):
            workers.send(number, task)
        return sorted(workers, key=lambda event: (event[0], isinstance(event[1], Ended)))


def test_tasks_come_in_and_messages_go_out() -> None:
    assert of(3, 4) == [(0, {"twice": 6}), (0, Ended(0)), (1, {"twice": 8}), (1, Ended(0))]


def test_each_way_to_end_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    (_, refused), (_, crashed), (_, died) = of("refuse", "crash", "die")
    assert isinstance(refused.error, InputError)
    assert (refused.code, str(refused)) == (2, "error: got a text: expected a number")
    assert (crashed, str(crashed)) == (Ended(1), "exit code 1")
    assert (died, str(died)) == (Ended(-signal.SIGKILL), "signal 9")
    shown = capfd.readouterr().err
    assert shown.count("ZeroDivisionError: a fault") == 1
    assert "InputError" not in shown


def test_an_error_of_a_kind_that_is_not_known_is_an_error_of_jvid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("jvid.errors.InputError")
    ((_, refused),) = of("refuse")
    assert type(refused.error) is JvidError


def test_the_end_of_the_block_stops_workers_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    real = pool._started
    monkeypatch.setattr(pool, "_started", lambda work: started.append(real(work)) or started[-1])
    with Pool(WORK, [{"times": 2}] * 2) as workers:
        workers.send(0, 1)
        assert next(iter(workers)) == (0, {"twice": 2})
    assert [worker.poll() for worker in started] == [0, 0]


PARENT = f"""
import sys
from jvid_training.jobs.pool import Pool

with Pool("{WORK}", [{{"times": 2}}]) as workers:
    workers.send(0, 1)
    print(next(iter(workers)), flush=True)
    sys.stdin.read()
"""


def test_a_killed_parent_takes_its_workers_along() -> None:
    # Its worker inherits the standard error stream, which ends when the last of them is gone.
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stderr is not None
    assert parent.stdout.readline() == "(0, {'twice': 2})\n", parent.stderr.read()
    parent.kill()
    parent.wait()
    parent.stderr.read()
