"""What a multistep solver's past is worth where the experts change: ``python -m benchmarks.switching``.

    error = |x - x*| / sqrt(elements) at the last level, from the same first latents,
    x* = the flows of the experts composed, each over its own blocks of time

Oracles: two experts that disagree, errors against their exact flows; geometric means over two problems on two schedules, and the
range of the orders measured between the two finest grids.
Networks (``--ensemble actions-64``): guided as the ensemble is sampled, from t = 1 to t = 0.02, x* a run of 160 steps. Who
predicts is a function of time, the same for every number of steps. Figures go to runs/switching.json; ``--write`` puts the
tables into docs/solvers.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product, takewhile
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.orders import F64, PAGE, flow_of, levels_between, paste, run, slope, steps_of
from benchmarks.paper_strategy import paper_strategy
from jvid.core.keyed import keyed_normal
from jvid.core.protocols import NoiseSchedule, Step
from jvid.ensemble import Source, compose
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.solvers import DPMPP2M, PNDM, UniPC
from jvid.solvers.history import Entry, Mode, log_snr, within_reach
from jvid.testing.oracles import GaussianOracle, TwoModeOracle

RESULTS = Path(__file__).parents[1] / "runs" / "switching.json"
MODES: tuple[Mode, ...] = get_args(Mode)
SOLVERS: Mapping[str, Callable[[Mode], Any]] = {
    "dpmpp-2m": lambda mode: DPMPP2M(history=mode),
    "unipc": lambda mode: UniPC(history=mode),
    "pndm": lambda mode: PNDM(history=mode),
}
Choose = Callable[[float], str]


def blocks(names: Sequence[str], first: float, last: float) -> Choose:
    """Who predicts in the ``len(names)`` equal blocks of time from ``first`` down to ``last``."""

    def choose(t: float) -> str:
        place = (first - t) / (first - last) * len(names)
        return names[min(int(place), len(names) - 1)]

    return choose


# Oracles

FIRST, LAST = 0.9, 0.1
STEPS = (20, 40, 80, 160)
SCHEDULES: Mapping[str, NoiseSchedule] = {"flow": FlowMatching(), "VP": TabulatedSchedule.scaled_linear()}
EXPERTS: Mapping[str, Callable[[NoiseSchedule], Mapping[str, Any]]] = {
    "two Gaussians": lambda s: {"a": GaussianOracle(s, 1.0, 0.5), "b": GaussianOracle(s, -0.5, 1.0)},
    "Gaussian, two modes": lambda s: {"a": GaussianOracle(s, 0.3, 1.0), "b": TwoModeOracle(s, 1.0, 0.4)},
}
PLANS: Mapping[str, Choose | None] = {
    "boundary": blocks("ab", FIRST, LAST),
    "5 blocks": blocks("ababa", FIRST, LAST),
    "drawn, 20 blocks": blocks("aaabaababbabbbabbabb", FIRST, LAST),
    "every step": None,
}


def oracle_errors(
    experts: str, schedule: str, plan: str, solver: str, mode: Mode, counts: Sequence[int]
) -> list[float]:
    """The error of a run on oracles for each number of steps."""
    reference = SCHEDULES[schedule]
    known = EXPERTS[experts](reference)
    errors = []
    for count in counts:
        steps, x, exact = _walk(experts, schedule, plan, count)
        errors.append(_distance(run(SOLVERS[solver](mode), known, steps, x), exact))
    return errors


@cache
def _walk(experts: str, schedule: str, plan: str, count: int) -> tuple[Sequence[Step], Tensor, Tensor]:
    """Steps, the first x and where the experts' flows take it: the same for every solver."""
    reference = SCHEDULES[schedule]
    known = EXPERTS[experts](reference)
    choose = PLANS[plan] or blocks("ab" * (count // 2), FIRST, LAST)
    steps = steps_of(reference, levels_between(reference, FIRST, LAST, count), choose)
    x = keyed_normal([0, 1], ("switching",), (1, 1, 8, 8), F64)
    x = 0.3 * steps[0].start.alpha + math.hypot(steps[0].start.alpha, steps[0].start.sigma) * x
    exact = x
    for step in steps:
        exact = flow_of(known[step.expert], exact, step.start, step.end)
    return steps, x, exact


def over_problems(
    plan: str, solver: str, mode: Mode, counts: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Geometric means of the errors over experts and schedules, and the order between the last two counts on each."""
    found = [oracle_errors(e, s, plan, solver, mode, counts) for e, s in product(EXPERTS, SCHEDULES)]
    means = [math.exp(sum(map(math.log, errors)) / len(errors)) for errors in zip(*found, strict=True)]
    return means, [slope(errors) for errors in found]


def oracle_table(counts: Sequence[int] = STEPS) -> str:
    """Markdown: errors at the first and the last number of steps, and the orders, by mode."""
    lines = [f"| who predicts | solver | {' | '.join(MODES)} |", "|" + " --- |" * (2 + len(MODES))]
    for plan, solver in product(PLANS, SOLVERS):
        cells = []
        for mode in MODES:
            means, orders = over_problems(plan, solver, mode, counts)
            cells.append(f"{means[0]:.1e}, {means[-1]:.1e}; {min(orders):.1f} to {max(orders):.1f}")
        lines.append(f"| {plan} | `{solver}` | {' | '.join(cells)} |")
    return "\n".join(lines)


AGES = (3.0, 6.0, 12.0, math.inf)


def age_table(counts: Sequence[int] = (20, 80)) -> str:
    """Markdown: what it would do to drop a past that lies back more than so many times the step's length in lambda."""
    columns = ["none" if age == math.inf else f"{age:g}" for age in AGES]
    lines = [f"| who predicts | solver | {' | '.join(columns)} |", "|" + " --- |" * (2 + len(AGES))]
    for plan, solver in product(("5 blocks", "drawn, 20 blocks", "every step"), ("dpmpp-2m", "unipc")):
        cells = []
        for age in AGES:

            def young(step: Step, past: tuple[Entry, ...], age: float = age) -> tuple[Entry, ...]:
                now, end = log_snr(step.start), log_snr(step.end)
                past = within_reach(step, past)
                return tuple(
                    takewhile(lambda entry: abs(log_snr(entry.level) - now) <= age * abs(end - now), past)
                )

            with (
                patch("jvid.solvers.dpmpp.within_reach", young),
                patch("jvid.solvers.unipc.within_reach", young),
            ):
                means, _ = over_problems(plan, solver, "per-expert", counts)
            cells.append(", ".join(f"{mean:.1e}" for mean in means))
        lines.append(f"| {plan} | `{solver}` | {' | '.join(cells)} |")
    return "\n".join(lines)


# Networks

TOP, BOTTOM = 1.0, 0.02
REFERENCE = 160


def network_plans(seed: int = 0) -> dict[str, tuple[Choose, tuple[int, ...]]]:
    """Who predicts, and the numbers of steps whose grids hold the switches."""
    from jvid.core.keyed import keyed_uniform
    from jvid.paper import TABLE_6

    def drawn(count: int) -> Choose:
        rule = TABLE_6[64]
        names = []
        for i in range(count):
            progress = 1.0 - (TOP + (BOTTOM - TOP) * i / count)
            names.append(
                "video" if keyed_uniform(seed, ("plan", i)) < rule.probability(progress) else "image"
            )
        return blocks(names, TOP, BOTTOM)

    return {
        "drawn, 20 blocks": (drawn(20), (20, 40)),
        "boundary": (blocks(["video"] * 3 + ["image"] * 2, TOP, BOTTOM), (10, 20, 40)),
    }


def measure_networks(name: str, clips: int, path: Path) -> None:
    """Fill ``path`` with what is not in it yet: the distance of each clip's latents to its reference."""
    ensemble = Source(name).load()
    experts = {key: expert.denoiser for key, expert in compose(paper_strategy(), ensemble).experts.items()}
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    for clip in range(clips):
        prompt = ensemble.prompts[(1 + 9 * clip) % len(ensemble.prompts)]
        cond = ensemble.condition([prompt])
        x = keyed_normal([clip], ("initial",), ensemble.shape, torch.float32)
        for plan, (choose, counts) in network_plans().items():

            def made(
                solver: Any, count: int, choose: Choose = choose, x: Tensor = x, cond: Any = cond
            ) -> Tensor:
                steps = steps_of(
                    ensemble.schedule, levels_between(ensemble.schedule, TOP, BOTTOM, count), choose
                )
                with torch.no_grad():
                    return run(solver, experts, steps, x, cond=cond)

            reference: Tensor | None = None
            doubt = f"{plan} | doubt | {REFERENCE} | {prompt}, seed {clip}"
            if doubt not in known:
                reference = made(UniPC(history="restart"), REFERENCE)
                known[doubt] = _distance(made(DPMPP2M(history="restart"), REFERENCE), reference)
                path.write_text(json.dumps(known, indent=1))
            for solver, count, mode in product(SOLVERS, counts, MODES):
                key = f"{plan} | {solver} | {count} | {mode} | {prompt}, seed {clip}"
                if key in known:
                    continue
                if plan == "boundary" and mode == "restart":
                    known[key] = known[
                        key.replace("restart", "per-expert")
                    ]  # one switch: no expert has a past of its own
                    continue
                if reference is None:
                    reference = made(UniPC(history="restart"), REFERENCE)
                known[key] = _distance(made(SOLVERS[solver](mode), count), reference)
                path.write_text(json.dumps(known, indent=1))
                print(
                    f"{time.perf_counter() - start:6.0f} s  {key}: {known[key]:.4f}",
                    file=sys.stderr,
                    flush=True,
                )


def network_table(path: Path) -> str:
    """Markdown: the geometric mean of the distances, and each clip's."""
    known = json.loads(path.read_text())
    lines = [f"| who predicts | solver | steps | {' | '.join(MODES)} |", "|" + " --- |" * (3 + len(MODES))]
    for plan, (_, counts) in network_plans().items():
        for solver in SOLVERS:
            for count in counts:
                found = [_clips(known, f"{plan} | {solver} | {count} | {mode} | ") for mode in MODES]
                if all(found):
                    cells = " | ".join(
                        f"{math.exp(sum(map(math.log, d)) / len(d)):.4f} ({', '.join(f'{v:.4f}' for v in d)})"
                        for d in found
                    )
                    lines.append(f"| {plan} | `{solver}` | {count} | {cells} |")
        if doubts := _clips(known, f"{plan} | doubt | "):
            several = ", ".join(f"{v:.4f}" for v in doubts)
            lines.append(f"| {plan} | `dpmpp-2m` | {REFERENCE} | | ({several}) | |")
    return "\n".join(lines)


def _clips(known: Mapping[str, float], key: str) -> list[float]:
    return [value for name, value in known.items() if name.startswith(key)]


def _distance(x: Tensor, y: Tensor) -> float:
    return float((x - y).double().square().mean().sqrt())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables; measure and write what is requested."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.switching", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--ensemble", "--pair", help="measure networks too, such as actions-64: half an hour")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/solvers.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.ensemble:
        measure_networks(options.ensemble, options.clips, options.results)
    tables = {"switching oracles": oracle_table(), "switching ages": age_table()}
    if options.results.is_file():
        tables["switching networks"] = network_table(options.results)
    for name, table in tables.items():
        print(f"{name}\n\n{table}\n")
        if options.write:
            paste(PAGE, name, table)


if __name__ == "__main__":
    main()
