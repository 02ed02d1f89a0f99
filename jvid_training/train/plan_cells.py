"""Where the plan of a strategy evaluates an expert, and how often: the cells that it is trained in.

    mass of step i = share_i(expert) calls_i,      between the step's end and its start

share_i is what the selector declares for the step, before it draws; of one that declares none, the mean weight over plans of many
seeds. calls_i is how often the solver evaluates its expert in the step. Levels of another schedule are taken at equal angle.
"""

from __future__ import annotations

import math
from pathlib import Path

from jvid.core.evaluations import calls_at
from jvid.core.levels import level_at
from jvid.core.plan import Plan
from jvid.core.planning import draw_plan, levels_of
from jvid.core.protocols import Level, NoiseSchedule
from jvid.ensemble import Composition, Source
from jvid.errors import InputError
from jvid.strategy import Strategy
from jvid_training.recipe_published import Noise
from jvid_training.train.times import Cell, normalised, time_at

__all__ = ["plan_cells"]

SEEDS = 64
"""Plans whose weights are averaged where a selector declares no shares."""


def plan_cells(noise: Noise, schedule: NoiseSchedule) -> tuple[Cell, ...]:
    """The cells of ``noise.expert`` in the plan of ``noise.from_strategy``, in times of ``schedule``.

    Raises:
        InputError: the strategy has no such expert, never evaluates it, or cannot be planned; in one line.
    """
    plans, composition = _plans_of(noise, schedule)
    first = plans[0]
    if noise.expert not in first.experts:
        raise InputError(
            f"noise.expert: {noise.from_strategy} has no expert {noise.expert!r}, expected one of {', '.join(first.experts)}"
        )
    cells: list[Cell] = []
    for i, step in enumerate(first.steps):
        shares = [plan.shares[i] if plan.shares is not None else plan.steps[i].weights for plan in plans]
        share = math.fsum(each.get(noise.expert, 0.0) for each in shares) / len(shares)
        low, high = sorted(_time(level, schedule) for level in (step.start, step.end))
        if share > 0.0 and high > low:
            cells.append((low, high, share * calls_at(composition.solver, step)))
    return normalised(cells, f"noise.expert: {noise.from_strategy} never evaluates {noise.expert!r}")


def _plans_of(noise: Noise, schedule: NoiseSchedule) -> tuple[list[Plan], Composition]:
    """The plans of ``noise.from_strategy``: one that declares shares, or else `SEEDS` of them.

    Without ``noise.ensemble`` the reference schedule is the strategy's, or else ``schedule``.
    """
    strategy = Strategy.load(Path(noise.from_strategy))
    ensemble = Source(noise.ensemble).load(weights=False) if noise.ensemble else None
    composition = Composition(strategy, ensemble)
    own = ensemble is None and strategy.schedule is None
    reference = schedule if own else composition.schedule
    levels = levels_of(composition.grid, reference)

    def plan(seed: int) -> Plan:
        return draw_plan(composition.selector, levels, composition.experts, seed, reference)

    first = plan(strategy.plan_seed)
    if first.shares is not None:
        return [first], composition
    return [first, *(plan(seed) for seed in range(SEEDS) if seed != strategy.plan_seed)], composition


def _time(level: Level, schedule: NoiseSchedule) -> float:
    same = level_at(schedule, level.t)
    if math.isclose(same.angle, level.angle, abs_tol=1e-12):
        return level.t
    return time_at(schedule, level.angle)
