"""One clip from the command line, start to finish: imports, weights, 50 steps, decoding, encoding to mp4.

16 frames, guidance 2, the paper's strategy at 64 pixels. On two cores: at most 30 s and 2 GB.
"""

from __future__ import annotations

import sys

from benchmarks.measured import measured
from benchmarks.paper_strategy import FILE


def test_sample(benchmark, ensemble, tmp_path):
    output = tmp_path / "clip.mp4"
    command = [
        sys.executable, "-m", "jvid", "sample", "a person waving two hands", "--ensemble", ensemble, "--seed", "3",
        "--strategy", str(FILE), "-o", str(output),
    ]  # fmt: skip
    figures = benchmark.pedantic(measured, args=command, rounds=1)
    assert output.stat().st_size > 0
    benchmark.extra_info.update({"gigabytes": figures["gigabytes"], "most seconds": 30, "most gigabytes": 2})
    benchmark.extra_info["processor seconds"] = round(figures["cpu"], 1)
