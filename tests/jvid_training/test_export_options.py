"""Options of `jvid export` that do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from jvid.cli import main


@pytest.mark.parametrize("alone", ["--lora", "--autoencoder"])
@pytest.mark.parametrize("other", [["--layout", "diffusers"], ["--decoder", "run"]])
def test_what_is_exported_alone_takes_no_other_option(
    alone: str, other: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", alone, str(tmp_path / "run"), *other, "-o", str(tmp_path / "out")]) == 2
    assert f"error: {alone} beside other options: it is exported alone" in capsys.readouterr().err


def test_a_layout_is_one_of_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "a", "b", "c", "--layout", "flat", "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "--layout" in error
    assert "'files', 'diffusers'" in error
