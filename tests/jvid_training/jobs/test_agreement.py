"""What the processes of a job have in common."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jvid_training.jobs import agreement
from jvid_training.jobs.ranks import ranks
from tests.forks import run_ranks


def test_folders_of_their_own_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_PATIENCE", 0.5)

    def work() -> int:
        own = tmp_path / os.environ["RANK"]
        own.mkdir()
        (own / ".shared").write_text("of an earlier start")
        with ranks("cpu") as job:
            assert agreement.is_shared(tmp_path, job)
            assert not agreement.is_shared(own, job)
        return 0

    codes, printed = run_ranks(2, work)
    assert codes == [0, 0], printed
    assert not (tmp_path / ".shared").exists()
