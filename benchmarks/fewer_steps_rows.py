"""What ``benchmarks.fewer_steps`` compares: solvers on grids of so many steps, and who predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from benchmarks.paper_strategy import paper_strategy
from jvid.core.plan import Plan
from jvid.core.planning import draw_plan, levels_of
from jvid.plugins.registry import load
from jvid.selectors import Always, Boundary
from jvid.strategy.shorthand import noise_of

EXPERTS = ("video", "image")
STOCHASTIC = ("ddpm", "dpmpp-2m-sde")


@attrs.frozen
class Row:
    """A solver on a grid of so many steps."""

    solver: str
    grid: str
    steps: int

    def __str__(self) -> str:
        return f"{self.solver} {self.grid} {self.steps}"

    @property
    def stochastic(self) -> bool:
        """Whether it draws noise."""
        return self.solver in STOCHASTIC


BASE = Row("ddpm", "leading", 50)
FINE = {False: Row("unipc", "leading", 250), True: Row("ddpm", "leading", 500)}
"""The references, by whether a row is stochastic."""


def rows_of(table: Mapping[tuple[str, str], Sequence[int]]) -> tuple[Row, ...]:
    """The rows of solvers and grids by their numbers of steps."""
    return tuple(Row(solver, grid, n) for (solver, grid), counts in table.items() for n in counts)


FEW = {
    ("ddpm", "leading"): (50,),
    ("ddim", "by-angle"): (24,),
    ("dpmpp-2m", "by-angle"): (8, 12, 16, 24),
    ("unipc", "by-angle"): (8, 12, 16, 24),
    ("unipc", "trailing"): (16,),
    ("dpmpp-2m-sde", "trailing"): (24, 40),
}
MANY = {
    ("ddpm", "leading"): (25, 50, 100),
    ("ddim", "by-angle"): (24, 40),
    ("ddim", "trailing"): (24,),
    ("euler", "by-angle"): (24,),
    ("heun", "by-angle"): (8, 12),
    ("pndm", "by-angle"): (8, 12, 16, 24),
    ("pndm", "trailing"): (16,),
    ("dpmpp-2m", "by-angle"): (8, 12, 16, 24),
    ("dpmpp-2m", "trailing"): (16, 24),
    ("dpmpp-2m", "karras"): (12,),
    ("unipc", "by-angle"): (8, 12, 16, 24),
    ("unipc", "trailing"): (16, 24),
    ("unipc", "karras"): (12,),
    ("unipc", "leading"): (16,),
    ("dpmpp-2m-sde", "trailing"): (24, 40),
}


@attrs.frozen
class Case:
    """Who predicts, which rows are run, and the gamma of each expert's steps."""

    name: str
    selector: Any
    rows: tuple[Row, ...]
    gamma: Mapping[str, float] = attrs.field(factory=dict, hash=False)


def held_share(selector: Any, count: int = 1000) -> float:
    """The share of progress that a selector gives the video model, between 0 and 1: where the image model takes over."""
    return sum(selector.probability((i + 0.5) / count) for i in range(count)) / count


def cases() -> tuple[Case, ...]:
    """The mixture of the paper's form with its gamma, and each expert alone with plain noise."""
    strategy = paper_strategy()
    # To an eighth: where a grid has no level at the switch, that costs more than the solver does. Trailing grids of 8, 16, 24
    # and 40 steps have one there, and so have both references.
    at = round(8 * held_share(load("selector", strategy.selector))) / 8
    gamma = {name: numbers[0] for name in EXPERTS if (numbers := noise_of(strategy, name))}
    return (
        Case("mixture", Boundary(EXPERTS, (at,)), rows_of(MANY), gamma),
        Case("image alone", Always("image"), rows_of(FEW)),
        Case("video alone", Always("video"), rows_of(FEW)),
    )


def plan_of(case: Case, row: Row, schedule: Any) -> Plan:
    """Who predicts at the steps of a row."""
    levels = levels_of(load("grid", row.grid, steps=row.steps), schedule)
    return draw_plan(case.selector, levels, EXPERTS, 0, schedule)
