"""Noise that changes nothing is reported once for a set, however many processes make it; of ranks, see ``test_processes``."""

from __future__ import annotations

from pathlib import Path

import pytest

from jvid.cli import main
from jvid.strategy import Strategy
from jvid.strategy.shorthand import with_noise
from jvid_training.jobs import pool
from tests.forks import Workers


def test_a_generation_of_several_processes_reports_it_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_started", Workers())
    both = Strategy("piecewise-affine:t_v=.3,t_e=.9,p_e=.5,p_f=.5", "unipc", steps=2)
    with_noise(both, "image", gamma=0.02).save(tmp_path / "unused.json")
    words = ["generate", "-o", str(tmp_path / "set"), "-n", "4", "--batch", "2", "--processes", "2"]
    for name, more in (("video", ""), ("image", ",denoises=frames")):
        words += ["--expert", f"{name}=gaussian:schedule=scaled-linear,std=.5{more}"]
    words += ["--codec", "pixels", "--shape", "3,2,8,8", "--prompt", "a ball"]
    words += ["--strategy", str(tmp_path / "unused.json")]
    assert main(words) == 0
    reported = [line for line in capfd.readouterr().err.splitlines() if "noise of image" in line]
    assert len(reported) == 1
    assert reported[0].startswith("jvid: warning: noise of image")
