"""What a clip of 128 frames costs over one of 16: networks' seconds of the paper's strategy, in turn in one run.

    128 frames = 11 windows of 16 for the video expert (overlap 4), 8 times 16 frames for the image expert

Three steps call both experts; their seconds per call price the plan of the strategy's own number of steps.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch

from benchmarks.paper_strategy import paper_strategy
from benchmarks.ratios import claim, interleaved
from jvid.ensemble import Composition, Source

SHORT, LONG, STEPS = 16, 128, 3
MUST, AIM = 11.0, 10.0


def _run(
    ensemble: Any, strategy: Any, frames: int, measured: list[Mapping[str, float]]
) -> Callable[[], None]:
    """A clip of so many frames; what its networks took, by expert and call, goes into ``measured``."""
    composition, shape = Composition(strategy, ensemble), ensemble.latents(frames)
    sampler, cond = composition.sampler(shape[1]), composition.condition(["a person running"])
    plan = sampler.plan(strategy.plan_seed)

    def run() -> None:
        *_, state = sampler.trace(shape, seeds=[0], cond=cond, plan=plan)
        measured.append({name: state.seconds[name] / count for name, count in state.calls.items() if count})

    return run


def test_128_frames_over_16(benchmark, ensemble):
    loaded = Source(ensemble).load()
    whole = paper_strategy()
    few = attrs.evolve(whole, steps=STEPS)
    measured: dict[int, list[Mapping[str, float]]] = {SHORT: [], LONG: []}
    sides = {str(frames): _run(loaded, few, frames, seconds) for frames, seconds in measured.items()}
    sides[str(SHORT)]()
    measured[SHORT].clear()  # that was the warm-up
    benchmark.pedantic(interleaved, args=(sides,), kwargs={"warmup": 0}, rounds=1)

    def networks(strategy: Any, frames: int) -> float:
        composition = Composition(strategy, loaded)
        plan, solver = composition.plan(), composition.solver
        return statistics.median(plan.price(each, solver) for each in measured[frames])

    short, long = (networks(whole, frames) for frames in (SHORT, LONG))
    median = {
        name: {f: statistics.median(each[name] for each in measured[f]) for f in measured}
        for name in measured[LONG][0]
    }
    by_expert = ", ".join(f"{name} {each[LONG] / each[SHORT]:.2f}" for name, each in median.items())
    threads = torch.get_num_threads()
    claim(
        benchmark, f"{short:.1f} s", f"{long:.1f} s", long / short, MUST, AIM, least=False,
        figure=f"{LONG} frames, over {SHORT}",
        remarks=f"networks of {whole.steps} steps, priced from {STEPS}; threads {threads}; by expert: {by_expert}",
    )  # fmt: skip
