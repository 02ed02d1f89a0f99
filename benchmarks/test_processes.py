"""Two processes that share the cores, as ``accelerate launch --num_processes 2`` starts them: clips a second.

Against the same two clips in turn, each with all cores, and against two processes that take all cores each, as torch does where
nothing else is stated. Three steps of the paper's strategy; loading is not timed.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.beside import Process, beside, in_turn
from benchmarks.ratios import claim, interleaved

STEPS, CLIPS = 3, 2
NOISE = 0.05
"""By which two equal runs differ on an idle machine."""


def test_processes_that_share_the_cores(benchmark, ensemble):
    with ExitStack() as stack:
        sharing, greedy = (
            [stack.enter_context(Process.of(ensemble, STEPS, processes, rank)) for rank in range(CLIPS)]
            for processes in (CLIPS, 1)
        )
        share, whole = sharing[0].threads, greedy[0].threads
        sides = {
            "in turn": lambda: in_turn(greedy),
            "sharing": lambda: beside(sharing),
            "all cores each": lambda: beside(greedy),
        }
        medians = benchmark.pedantic(interleaved, args=(sides,), kwargs={"warmup": 0}, rounds=1)
    speed = {name: CLIPS / seconds for name, seconds in medians.items()}
    shown = {name: f"{value:.2f} clips/s" for name, value in speed.items()}
    for name, must, how in (
        ("in turn", 1.0 - NOISE, f"one after the other, {whole} threads"),
        ("all cores each", 1.0, f"at once with {whole} threads each"),
    ):
        claim(
            benchmark, shown[name], shown["sharing"], speed["sharing"] / speed[name], must, 1.0,
            figure=f"{CLIPS} processes that share, against {name}",
            remarks=f"{STEPS} steps; {share} thread{'s' * (share > 1)} each, against {how}",
        )  # fmt: skip
