"""What a clip of 128 frames costs over one of 16: networks' seconds of the pair's recommended strategy, in turn in one run.

    128 frames = 11 windows of 16 for the video expert (overlap 4), 8 times 16 frames for the image expert

Ten steps stand for the strategy's own number: its plan is priced from their seconds a call too. At most 11 times, 10 is aimed at.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from benchmarks.ratios import interleaved
from jvid.choices import Choice
from jvid.lengths import clip_shape

SHORT, LONG, STEPS = 16, 128, 10
MUST, AIM = 11.0, 10.0


def _run(pair: Any, strategy: Any, frames: int, told: list[Mapping[str, float]]) -> Callable[[], None]:
    """A clip of so many frames; what its networks took, by expert and call, goes into ``told``."""
    sampler = strategy.sampler(pair, frames)
    shape = clip_shape(pair.shape, frames)
    cond = pair.text_encoder(["a person running"])
    plan = sampler.plan(strategy.plan_seed)

    def run() -> None:
        *_, state = sampler.trace(shape, seeds=[0], cond=cond, plan=plan)
        told.append({name: state.seconds[name] / count for name, count in state.calls.items() if count})

    return run


def test_128_frames_over_16(benchmark, pair):
    loaded = Choice.parse(pair).load("pair")
    whole = loaded.strategy
    few = attrs.evolve(whole, steps=STEPS)
    told: dict[int, list[Mapping[str, float]]] = {SHORT: [], LONG: []}
    sides = {str(frames): _run(loaded, few, frames, seconds) for frames, seconds in told.items()}
    sides[str(SHORT)]()
    benchmark.pedantic(sides[str(LONG)], rounds=1, warmup_rounds=0)
    for seconds in told.values():
        seconds.clear()  # that was the warm-up
    interleaved(sides, rounds=5, warmup=0)

    def networks(strategy: Any, frames: int) -> float:
        plan, solver = strategy.plan(loaded.schedule), strategy.solver.load("solver")
        return statistics.median(plan.price(each, solver) for each in told[frames])

    ratio = networks(few, LONG) / networks(few, SHORT)
    median = {
        name: {f: statistics.median(each[name] for each in told[f]) for f in told} for name in told[LONG][0]
    }
    benchmark.extra_info |= {
        "networks": f"{networks(few, SHORT):.2f} s and {networks(few, LONG):.2f} s",
        "ratio": f"{ratio:.2f} (must {MUST:g}, aim {AIM:g}){'' if ratio <= MUST else ' MISSED'}",
        f"of {whole.steps} steps": f"{networks(whole, LONG) / networks(whole, SHORT):.2f}",
        "by expert": ", ".join(f"{name} {each[LONG] / each[SHORT]:.2f}" for name, each in median.items()),
    }  # fmt: skip
