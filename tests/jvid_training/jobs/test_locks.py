"""Locks among processes: held by the living alone."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from jvid.errors import InputError
from jvid_training.jobs.locks import Lock, held, is_held
from tests.environments import ROOT

HOLDER = """
import sys
from pathlib import Path
from jvid_training.jobs.locks import held

with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_is_held_until_its_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "one"
    assert not is_held(path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert is_held(path)
    holder.kill()
    holder.communicate()
    assert not is_held(path)
    assert not path.exists()
    with held(path):
        assert is_held(path)


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    expected = r"one cannot be locked \(No locks available\): give a folder on another file system"
    with pytest.raises(InputError, match=expected), held(tmp_path / "one"):
        pass
    with pytest.raises(InputError, match=r"\.lock cannot be locked"), Lock(tmp_path, alone=True):
        pass
