"""What a user waits for before anything is computed: help at most 1 s, lists at most 0.3 s, from a warm install."""

from __future__ import annotations

import sys

import pytest

from benchmarks.measured import measured

BOUNDS = {
    "--help": 1,
    "sample --help": 1,
    "plugins": 0.3,
    "names": 0.3,
    "names solver": 0.3,
    "show selector always": 0.3,
    "show solver ddim": None,
    "plan --paper 64": None,
}
"""Seconds at most, by command; None where a command computes, or loads torch to answer."""


@pytest.mark.parametrize("words", BOUNDS)
def test_jvid(benchmark, words):
    command = [sys.executable, "-m", "jvid", *words.split()]
    rounds = 3 if BOUNDS[words] is None else 5
    figures = benchmark.pedantic(measured, args=command, rounds=rounds, warmup_rounds=1)
    benchmark.extra_info["gigabytes"] = figures["gigabytes"]
    if BOUNDS[words] is not None:
        benchmark.extra_info["most seconds"] = BOUNDS[words]


def test_plugins_is_told_in_time():
    """The least of five, in processor seconds: what jvid itself needs, on a busy machine too."""
    command = [sys.executable, "-m", "jvid", "plugins"]
    assert min(measured(*command)["cpu"] for _ in range(5)) < BOUNDS["plugins"]
