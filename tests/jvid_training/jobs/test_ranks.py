"""The processes of a job as a launcher states them in the environment."""

from __future__ import annotations

import pytest

from jvid.errors import InputError
from jvid_training.jobs.ranks import first_process, ranks


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE='x': expected a whole number, 1 or more"),
        ({"WORLD_SIZE": "-3"}, "WORLD_SIZE='-3'"),
        ({"WORLD_SIZE": "2"}, "RANK='': expected a whole number, from 0 to 1"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK='2'"),
        ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_PORT": "99999"}, "MASTER_PORT='99999': expected a whole number, from 1"),
        ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_PORT": "29500"}, "WORLD_SIZE=2 without MASTER_ADDR"),
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_is_refused_before_it_waits(
    environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert first_process()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words), ranks("cpu"):
        pass
    with pytest.raises(InputError, match="start the command with torchrun or accelerate launch, or unset it"):
        first_process()
