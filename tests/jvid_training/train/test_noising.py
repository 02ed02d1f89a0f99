"""Latents at a level have the bits of the formula in torch, by the entries of a table and beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from jvid.core.levels import level_floats
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid_models.adapters.scheduler_clocks import Clock
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.adapters.scheduler_outputs import OutputKind
from jvid_training.recipe import structure_recipe
from jvid_training.train.noising import Noising

LEVELS = {
    "index": SchedulerLevels(TabulatedSchedule.scaled_linear(), OutputKind("eps"), Clock("index", 1000)),
    "ratio": SchedulerLevels(TabulatedSchedule.scaled_linear(), OutputKind("v"), Clock("ratio", 1000)),
    "flow": SchedulerLevels(FlowMatching(), OutputKind("flow"), Clock("sigma", 1000)),
}


def noising_of(name: str, offset: float) -> Noising:
    recipe = {
        "name": "n", "kind": "video", "out": "-", "data": {"root": "-", "latents": "-"},
        "training": {"steps": 1, "batch": 1, "offset": offset},
    }  # fmt: skip
    return Noising.of(structure_recipe(recipe), LEVELS[name])


def noised(noising: Noising, x_0: Tensor, t: float, seed: int) -> tuple[Tensor, Tensor]:
    """Latents ``(c f h w)`` at t, and the target, in a batch after others of other times."""
    eps = np.empty((3, *x_0.shape), np.float32)
    for row, each in enumerate((7, 8, seed)):
        noising.draw(np.random.default_rng(each), eps[row])
    found = noising.noised(torch.stack([-x_0, 2 * x_0, x_0]), (1.0, 0.5, t), eps)
    assert found.t[2] == t
    return found.x[2], found.target[2]


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("name", LEVELS)
def test_a_sample_has_the_bits_of_the_formula_in_torch(name: str, offset: float) -> None:
    noising, levels = noising_of(name, offset), LEVELS[name]
    x_0 = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 3, 5, 6), np.float32))
    for place in range(40):
        t = noising.time(np.random.default_rng(place), 0, 0, place, 40)
        x, target = noised(noising, x_0, t, place)
        random = np.random.default_rng(place)
        eps = torch.from_numpy(random.standard_normal(tuple(x_0.shape), np.float32))
        if offset:
            eps = eps + offset * torch.from_numpy(random.standard_normal((4, 1, 1, 1), np.float32))
        alpha, sigma = level_floats(levels.schedule, torch.tensor(t, dtype=torch.float64))
        assert torch.equal(x, alpha * x_0 + sigma * eps)
        assert torch.equal(target, levels.kind.target(x_0, eps, alpha, sigma))
        expected = round(float(levels.timestep(torch.tensor(t, dtype=torch.float64))))
        assert noising.timestep(t) == expected
    assert len(noising.entries) == (0 if name == "flow" else 1000)


def test_a_time_beside_the_entries_is_computed() -> None:
    noising, schedule = noising_of("index", 0.0), LEVELS["index"].schedule
    x_0, t = torch.ones(1, 1, 1, 1), 0.12345
    assert t not in noising.entries
    alpha, sigma = level_floats(schedule, torch.tensor(t, dtype=torch.float64))
    eps = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 1, 1, 1), np.float32))
    assert torch.equal(noised(noising, x_0, t, 1)[0], alpha * x_0 + sigma * eps)
    assert noising.timestep(t) == round(0.12345 * 1000 - 1)
