"""The order of every registered solver, measured against closed forms: ``python -m benchmarks.orders``.

    order = log2(error(N) / error(2 N)) at the two finest of N = 40, 80, 160, 320 even steps of t from 0.9 to 0.1

Deterministic solvers: the largest distance to the flow of the probability-flow ODE, known in closed form. Stochastic ones: the
error of mean and variance of the samples on the Gaussian problem, known because each step is affine in x and in the noise (weak
order). The VP table is piecewise linear in angle, so its grids stay on its entries.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Level, NoiseSchedule, Step
from jvid.plugins import builtins
from jvid.plugins.choice import Choice
from jvid.plugins.registry import Registry, load
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing.oracles import GaussianOracle, TwoModeOracle

PAGE = Path(__file__).parents[1] / "docs" / "solvers.md"
F64 = torch.float64
FIRST, LAST = 0.9, 0.1
STEPS = (40, 80, 160, 320)
SCHEDULES: Mapping[str, NoiseSchedule] = {"flow": FlowMatching(), "VP": TabulatedSchedule.scaled_linear()}
MEAN, STD = 0.4, 0.6


# What the benchmarks of solvers share


def levels_between(schedule: NoiseSchedule, first: float, last: float, count: int) -> list[Level]:
    """``count + 1`` levels, evenly in t."""
    times = [first + (last - first) * i / count for i in range(count + 1)]
    alpha, sigma = schedule(torch.tensor(times, dtype=F64))
    return list(map(Level, times, alpha.tolist(), sigma.tolist()))


def steps_of(
    schedule: NoiseSchedule, levels: Sequence[Level], choose: Callable[[float], str] = lambda t: "a"
) -> list[Step]:
    """Steps between levels; the selector is evaluated at the middle of each."""
    steps: list[Step] = []
    for i, (start, end) in enumerate(pairwise(levels)):
        name = choose((start.t + end.t) / 2)
        switched = bool(steps) and steps[-1].expert != name
        steps.append(Step(i, len(levels) - 1, start, end, {name: 1.0}, switched, schedule))
    return steps


def run(
    solver: Any,
    denoisers: Mapping[str, Any],
    steps: Iterable[Step],
    x: Tensor,
    noise: Callable[[int], Tensor] | None = None,
    cond: Any = None,
) -> Tensor:
    """x after the steps; ``noise(index)`` is every draw of a step."""
    memory = solver.init()
    for step in steps:

        def denoise(x_t: Tensor, level: Level, step: Step = step) -> Tensor:
            out: Tensor = denoisers[step.expert](x_t, torch.tensor(level.t, dtype=F64), cond or {})
            return out

        def draw(key: str, step: Step = step) -> Tensor:
            assert noise is not None, f"{solver} drew {key!r}"
            return noise(step.index)

        x, memory = solver.step(x, step, denoise, draw, memory)
    return x


def flow_of(oracle: GaussianOracle | TwoModeOracle, x: Tensor, start: Level, end: Level) -> Tensor:
    """Where the oracle's flow takes x ``(*)``, float64: on a line it keeps every quantile, F_end(x_end) = F_start(x)."""
    if isinstance(oracle, GaussianOracle):
        return oracle.flow(x, start, end)

    def tail(distance: Tensor, level: Level) -> Tensor:
        # Of both modes, above mean + distance: no cancellation far out, unlike 1 - F.
        width = math.sqrt(2.0 * ((level.alpha * oracle.std) ** 2 + level.sigma**2))
        offset = level.alpha * oracle.offset
        return torch.erfc((distance - offset) / width) + torch.erfc((distance + offset) / width)

    centred = x - start.alpha * oracle.mean
    wanted = tail(centred.abs(), start)
    low = torch.zeros_like(x)
    high = low + end.alpha * oracle.offset + 40.0 * math.hypot(end.alpha * oracle.std, end.sigma)
    for _ in range(100):
        middle = (low + high) / 2
        above = tail(middle, end) > wanted
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return end.alpha * oracle.mean + centred.sign() * (low + high) / 2


def slope(errors: Sequence[float]) -> float:
    """log2 of the ratio of the last two; an error of rounding alone has no order."""
    return math.log2(errors[-2] / errors[-1]) if errors[-1] > 1e-13 else math.inf


def paste(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the markers of ``name`` on a page."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


# Orders


@attrs.frozen
class Row:
    """A solver, what it claims, and what was measured on each problem."""

    name: str
    options: Mapping[str, Any]
    declared: int
    calls: float
    stochastic: bool
    orders: Mapping[str, float]

    @property
    def least(self) -> float:
        """The smallest order measured."""
        return min(self.orders.values())


# Beside the defaults of everything that is registered.
VARIANTS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("ddim", {"eta": 0.5}),
    ("pndm", {"start": "runge-kutta"}),
    ("dpmpp-2m", {"form": "heun"}),
    ("dpmpp-2m-sde", {"form": "heun"}),
    ("dpmpp-2m-sde", {"eta": 0.5}),
    ("unipc", {"solver_order": 1}),
    ("unipc", {"solver_order": 3}),
    ("unipc", {"solver_order": 1, "lower_order_final": False}),
    ("unipc", {"solver_order": 2, "lower_order_final": False}),
    ("unipc", {"solver_order": 3, "lower_order_final": False}),
    ("unipc", {"variant": "bh1"}),
)


def draws(solver: Any, schedule: NoiseSchedule) -> bool:
    """Whether a solver draws noise."""
    drawn: list[int] = []
    x = torch.zeros(1, 1, 1, 1, 1, dtype=F64)

    def noise(index: int) -> Tensor:
        drawn.append(index)
        return x

    steps = steps_of(schedule, levels_between(schedule, FIRST, LAST, 2))
    run(solver, {"a": GaussianOracle(schedule)}, steps, x, noise)
    return bool(drawn)


def strong_error(solver: Any, oracle: GaussianOracle | TwoModeOracle, count: int) -> float:
    """The largest distance to the flow."""
    steps = steps_of(oracle.schedule, levels_between(oracle.schedule, FIRST, LAST, count))
    x = _first(steps[0].start)
    exact = flow_of(oracle, x, steps[0].start, steps[-1].end)
    return float((run(solver, {"a": oracle}, steps, x) - exact).abs().max())


def moments_error(solver: Any, oracle: GaussianOracle, count: int) -> float:
    """The larger error of mean and variance at the last level, with the run written as affine in x and every noise."""
    steps = steps_of(oracle.schedule, levels_between(oracle.schedule, FIRST, LAST, count))
    start, end = steps[0].start, steps[-1].end
    # Row 0 is the constant, row 1 answers to the first x, row 2 + i to the noise of step i.
    x = torch.zeros(count + 2, 1, 1, 1, 1, dtype=F64)
    x[1] = 1.0

    def noise(index: int) -> Tensor:
        z = torch.zeros_like(x)
        z[2 + index] = 1.0
        return z

    out = run(solver, {"a": oracle}, steps, x, noise).flatten()
    gains = out[1:] - out[0]
    mean = float(out[0] + gains[0] * start.alpha * oracle.mean)
    variance = float(gains[0] ** 2 * oracle.variance(start) + gains[1:].square().sum())
    return max(abs(mean - end.alpha * oracle.mean), abs(variance - oracle.variance(end)))


def measure(name: str, options: Mapping[str, Any], counts: Sequence[int] = STEPS) -> Row:
    """The orders of one solver on every problem."""
    solver = load("solver", name, **options)
    orders: dict[str, float] = {}
    stochastic = draws(solver, SCHEDULES["flow"])
    for key, schedule in SCHEDULES.items():
        gaussian = GaussianOracle(schedule, MEAN, STD)
        if stochastic:
            orders[f"Gaussian, {key}"] = slope([moments_error(solver, gaussian, n) for n in counts[-2:]])
            continue
        two = TwoModeOracle(schedule, offset=1.0, std=0.5)
        for problem, oracle in (("Gaussian", gaussian), ("two modes", two)):
            errors = [strong_error(solver, oracle, n) for n in counts[-2:]]
            orders[f"{problem}, {key}"] = slope(errors)
    plan = steps_of(SCHEDULES["flow"], levels_between(SCHEDULES["flow"], FIRST, LAST, counts[-1]))
    evaluations = getattr(solver, "evaluations", lambda step: 1)
    calls = sum(map(evaluations, plan)) / len(plan)
    return Row(name, options, solver.order, calls, stochastic, orders)


def registered() -> list[str]:
    """The names of the built-in solvers."""
    registry = Registry(entry_points=False)
    registry.add(builtins, "builtin", "jvid")
    return list(registry.names("solver"))


def rows(counts: Sequence[int] = STEPS) -> list[Row]:
    """Every registered solver as it is by default, and variants."""
    plain: list[tuple[str, Mapping[str, Any]]] = [(name, {}) for name in registered()]
    return [
        measure(name, options, counts)
        for name, options in sorted([*plain, *VARIANTS], key=lambda row: row[0])
    ]


def text_of(name: str, options: Mapping[str, Any]) -> str:
    """``name:option=value``, as the command line takes it."""
    return str(Choice(name, options))


def table(found: Iterable[Row]) -> str:
    """Markdown."""
    problems = [f"{problem}, {key}" for problem in ("Gaussian", "two modes") for key in SCHEDULES]
    lines = [
        f"| solver | error | calls a step | declared | {' | '.join(problems)} |",
        "|" + " --- |" * (4 + len(problems)),
    ]
    for row in found:
        text = text_of(row.name, row.options)
        cells = " | ".join(f"{row.orders[p]:.2f}" if p in row.orders else "" for p in problems)
        kind = "moments" if row.stochastic else "flow"
        lines.append(f"| `{text}` | {kind} | {row.calls:.3g} | {row.declared} | {cells} |")
    return "\n".join(lines)


def _first(level: Level) -> Tensor:
    return math.hypot(level.alpha, level.sigma) * keyed_normal([0], ("orders",), (1, 1, 8, 8), F64)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it into the page if requested."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orders", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/solvers.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    text = table(rows())
    print(text)
    if options.write:
        paste(PAGE, "orders", text)


if __name__ == "__main__":
    main()
