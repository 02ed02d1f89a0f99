"""Noise that changes nothing is reported once for a set, however many processes make it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jvid.strategy import Strategy
from jvid.strategy.shorthand import with_noise
from tests.generation_tools import tiny_ensemble

TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]


@pytest.mark.parametrize(("ranks", "processes"), [([], 2), (TORCHRUN, 1)])
def test_a_generation_of_several_processes_reports_it_once(
    tmp_path: Path, ranks: list[str], processes: int
) -> None:
    both = Strategy("piecewise-affine:t_v=.3,t_e=.9,p_e=.5,p_f=.5", "unipc", steps=2)
    with_noise(both, "image", gamma=0.02).save(tmp_path / "unused.json")
    words = [
        sys.executable,
        *ranks,
        "-m",
        "jvid",
        "generate",
        "-o",
        str(tmp_path / "set"),
        "-n",
        "4",
        "--batch",
        "2",
    ]
    words += [
        "--ensemble",
        str(tiny_ensemble(tmp_path / "tiny")),
        "--strategy",
        str(tmp_path / "unused.json"),
    ]
    done = subprocess.run([*words, "--processes", str(processes)], capture_output=True, text=True, check=True)
    reported = [line for line in done.stderr.splitlines() if "noise of image" in line]
    assert len(reported) == 1
    assert reported[0].startswith("jvid: warning: noise of image")
