"""One clip from the command line, start to finish: imports, weights, steps, decoding, encoding to mp4.

actions-64     16 frames, guidance 2, the paper's strategy at 64 pixels, 50 steps      at most 30 s and 2 GB on two cores
sprites-64     8 frames, the recommended strategy, 8 steps                             at most 6 s and 1 GB on two cores
"""

from __future__ import annotations

import sys
from statistics import median

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


def test_sample_sprites(benchmark, tmp_path):
    output = tmp_path / "sprite.mp4"
    prompt = "a woman with long green hair in chain mail casts a spell, facing left"
    command = [
        sys.executable, "-m", "jvid", "sample", prompt, "--ensemble", "sprites-64", "--seed", "3", "-o", str(output)
    ]  # fmt: skip
    found: list[dict[str, float]] = []
    benchmark.pedantic(lambda: found.append(measured(*command)), rounds=5, warmup_rounds=1)
    assert output.stat().st_size > 0
    gigabytes = max(figures["gigabytes"] for figures in found)
    benchmark.extra_info.update({"gigabytes": gigabytes, "most seconds": 6, "most gigabytes": 1})
    benchmark.extra_info["processor seconds"] = round(median(figures["cpu"] for figures in found[1:]), 1)
