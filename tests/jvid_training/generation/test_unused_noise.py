"""Noise that changes nothing is reported once for a set, however many processes make it; of ranks, see ``test_processes``."""

from __future__ import annotations

from pathlib import Path

import pytest

from jvid.cli import main
from jvid.strategy import Strategy
from jvid.strategy.shorthand import with_noise
from tests.generation_tools import tiny_ensemble


def test_a_generation_of_several_processes_reports_it_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    both = Strategy("piecewise-affine:t_v=.3,t_e=.9,p_e=.5,p_f=.5", "unipc", steps=2)
    with_noise(both, "image", gamma=0.02).save(tmp_path / "unused.json")
    words = ["generate", "-o", str(tmp_path / "set"), "-n", "4", "--batch", "2", "--processes", "2"]
    words += [
        "--ensemble",
        str(tiny_ensemble(tmp_path / "tiny")),
        "--strategy",
        str(tmp_path / "unused.json"),
    ]
    assert main(words) == 0
    reported = [line for line in capfd.readouterr().err.splitlines() if "noise of image" in line]
    assert len(reported) == 1
    assert reported[0].startswith("jvid: warning: noise of image")
