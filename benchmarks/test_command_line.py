"""What a user waits for before anything is computed: help at most 1 s, from a warm install."""

from __future__ import annotations

import sys

import pytest

from benchmarks.measured import measured


@pytest.mark.parametrize(
    ("words", "bound"),
    [("--help", 1), ("sample --help", 1), ("plan --paper 64", None)],
    ids=["--help", "sample --help", "plan --paper 64"],
)
def test_jvid(benchmark, words, bound):
    command = [sys.executable, "-m", "jvid", *words.split()]
    figures = benchmark.pedantic(measured, args=command, rounds=3, warmup_rounds=1)
    benchmark.extra_info["gigabytes"] = figures["gigabytes"]
    if bound is not None:
        benchmark.extra_info["most seconds"] = bound
