"""The times that a network is trained at: densities in closed form, bands, and the plans of strategies."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import (
    compute_density_for_timestep_sampling,
    compute_loss_weighting_for_sd3,
    compute_snr,
)

import jvid
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid_models.adapters.scheduler_clocks import Clock
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.adapters.scheduler_outputs import OutputKind
from jvid_training.recipe import structure_recipe
from jvid_training.recipe_published import Noise
from jvid_training.train.noising import Noising
from jvid_training.train.plan_cells import plan_cells
from jvid_training.train.times import Base, Times, bands_of
from jvid_training.train.weighting import weight_at

TABLE = TabulatedSchedule.scaled_linear()
GRID = (np.arange(20_000) + 0.5) / 20_000
SPRITES = Path("recipes/sprites-64/strategies")


def drawn(times: Times) -> np.ndarray:
    return np.asarray([times.time(float(u)) for u in GRID])


@pytest.mark.parametrize("base", [Base(), Base(None, 3.0), Base((0.0, 1.0)), Base((-0.5, 0.8), 5.0)])
def test_the_distribution_function_is_the_inverse_of_the_quantiles(base: Base) -> None:
    for q in (1e-6, 0.01, 0.3, 0.5, 0.9, 0.999):
        assert base.probability(base.quantile(q)) == pytest.approx(q, rel=1e-6)
    assert (base.probability(0.0), base.probability(1.0)) == (0.0, 1.0)


def test_logit_normal_times_are_those_of_diffusers() -> None:
    torch.manual_seed(0)
    theirs = compute_density_for_timestep_sampling("logit_normal", 100_000, 0.3, 0.7).sort().values.numpy()
    ours = drawn(Times(Base((0.3, 0.7))))
    for q in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert np.quantile(ours, q) == pytest.approx(np.quantile(theirs, q), abs=5e-3)


def test_the_shift_is_that_of_flow_matching() -> None:
    schedule = FlowMatching(3.0)
    sigma = [float(schedule(torch.tensor(q, dtype=torch.float64))[1]) for q in (0.1, 0.5, 0.9)]
    assert [Base(None, 3.0).quantile(q) for q in (0.1, 0.5, 0.9)] == pytest.approx(sigma)


def test_bands_hold_all_times_and_as_many_each_as_the_base_has_there() -> None:
    base = Base((0.0, 1.0))
    times = Times(base, bands_of(Noise(bands=((0.1, 0.2), (0.7, 0.9))), base, TABLE))
    found = drawn(times)
    low, high = ((found >= a) & (found <= b) for a, b in ((0.1, 0.2), (0.7, 0.9)))
    assert (low | high).all()
    masses = [base.probability(b) - base.probability(a) for a, b in ((0.1, 0.2), (0.7, 0.9))]
    assert low.mean() == pytest.approx(masses[0] / sum(masses), abs=1e-3)


def test_bands_by_progress_and_by_noise() -> None:
    assert bands_of(Noise(bands=((0.3, 0.8),), by="progress"), Base(), TABLE) == (
        (pytest.approx(0.2), pytest.approx(0.7), 1.0),
    )
    ((low, high, _),) = bands_of(Noise(bands=((0.0, 0.9),), by="noise"), Base(), TABLE)
    alpha, sigma = map(float, TABLE(torch.tensor(high, dtype=torch.float64)))
    assert (low, sigma / (alpha + sigma)) == (0.0, pytest.approx(0.9))
    ((_, high, _),) = bands_of(Noise(bands=((0.0, 0.875),), by="noise"), Base(), FlowMatching(5.0))
    assert float(FlowMatching(5.0)(torch.tensor(high, dtype=torch.float64))[1]) == pytest.approx(0.875)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ({"bands": [[0.5, 0.4]]}, r"noise.bands: got \[0.5, 0.4\], expected \[low, high\] of t from 0 to 1"),
        ({"bands": [[0.1, 0.5], [0.4, 0.6]]}, "they overlap"),
        ({"from_strategy": "x.json"}, "go together"),
        ({"from_strategy": "x.json", "expert": "a", "bands": [[0, 1]]}, "leave one out"),
        ({"weighting": "cosmap"}, "it is of flow matching"),
        ({"from_strategy": f"{SPRITES}/frames-last.json", "expert": "a"}, "has no expert 'a', expected one of clips, frames"),
        ({"from_strategy": f"{SPRITES}/clips-ddpm-50.json", "expert": "frames"}, "has no expert 'frames'"),
    ],
)  # fmt: skip
def test_wrong_noise_is_one_line(noise, message) -> None:
    levels = SchedulerLevels(TABLE, OutputKind("eps"), Clock("index", 1000))
    with pytest.raises(InputError, match=message) as caught:
        Noising.of(structure_recipe(document(noise)), levels)
    assert "\n" not in str(caught.value)


def document(noise: dict) -> dict:
    return {
        "name": "a", "kind": "video", "out": "out", "data": {"root": "root", "latents": "latents"},
        "training": {"steps": 1, "batch": 1}, "noise": noise,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "expert"),
    [("frames-between", "clips"), ("frames-between", "frames"), ("paper", "frames"), ("paper", "clips")],
)
def test_times_are_drawn_where_the_plan_evaluates_the_expert_and_as_often(strategy: str, expert: str) -> None:
    """By the plan of `Composition`, as ``jvid plan`` shows it: the share of each step, whatever the selector draws."""
    path = SPRITES / f"{strategy}.json"
    times = Times(Base(), plan_cells(Noise(from_strategy=str(path), expert=expert), TABLE))
    plan = jvid.Composition(jvid.Strategy.load(path)).plan()
    shares = [each.get(expert, 0.0) for each in plan.shares]
    ends = np.asarray([step.end.t for step in plan.steps])
    found = drawn(times)
    # A time belongs to the step that begins at it or above, and ends below it.
    counts = Counter(int(np.argmax(ends < t)) for t in found)
    for i, share in enumerate(shares):
        assert counts[i] / len(found) == pytest.approx(share / math.fsum(shares), abs=2e-4)


def test_shares_are_those_of_many_plans_where_a_selector_declares_none(tmp_path, monkeypatch) -> None:
    path = tmp_path / "strategy.json"
    jvid.Strategy("piecewise-affine:t_v=0.2,t_e=0.7,p_e=0.5,p_f=0.5", "ddim", "trailing", steps=10).save(path)
    noise = Noise(from_strategy=str(path), expert="image")
    declared = plan_cells(noise, TABLE)
    monkeypatch.setattr("jvid.core.planning.DeclaresShares", type("Nobody", (), {}))
    averaged = plan_cells(noise, TABLE)
    assert [cell[:2] for cell in averaged] == [cell[:2] for cell in declared]
    assert [cell[2] for cell in averaged] == pytest.approx([cell[2] for cell in declared], abs=0.05)
    assert averaged != declared


def test_a_plan_on_another_schedule_is_taken_at_equal_noise() -> None:
    noise = Noise(from_strategy=str(SPRITES / "frames-between.json"), expert="frames", ensemble="sprites-64")
    flow = FlowMatching(3.0)
    own, other = plan_cells(noise, TABLE), plan_cells(noise, flow)
    for (low, _, mass), (moved, _, same) in zip(own, other, strict=True):
        one, two = (
            schedule(torch.tensor(t, dtype=torch.float64)) for schedule, t in ((TABLE, low), (flow, moved))
        )
        assert math.atan2(one[1], one[0]) == pytest.approx(math.atan2(two[1], two[0]), abs=1e-9)
        assert mass == same


def test_solvers_that_evaluate_twice_count_twice(tmp_path) -> None:
    masses = {}
    for solver in ("ddim", "heun"):
        jvid.Strategy("always:name=a", solver, "trailing", steps=4).save(tmp_path / "strategy.json")
        cells = plan_cells(Noise(from_strategy=str(tmp_path / "strategy.json"), expert="a"), TABLE)
        masses[solver] = [mass for _, _, mass in cells]
    assert masses["ddim"] == pytest.approx([0.25] * 4)
    assert masses["heun"][0] < masses["heun"][-1]  # its last step, to the clean end, evaluates once


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_min_snr_weights_are_those_of_diffusers(prediction: str) -> None:
    scheduler = DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type=prediction
    )
    kind = OutputKind({"epsilon": "eps", "v_prediction": "v", "sample": "x0"}[prediction])  # type: ignore[arg-type]
    levels = SchedulerLevels(TABLE, kind, Clock("index", 1000))
    for n in (0, 10, 300, 999):
        snr = float(compute_snr(scheduler, torch.tensor([n])))
        over = {"eps": snr, "v": snr + 1.0, "x0": 1.0}[kind.prediction]
        alpha, sigma = map(float, TABLE(torch.tensor((n + 1) / 1000, dtype=torch.float64)))
        assert weight_at(Noise(weighting="min-snr"), levels, alpha, sigma) == pytest.approx(
            min(snr, 5.0) / over, rel=1e-4
        )


@pytest.mark.parametrize("name", ["sigma-sqrt", "cosmap"])
def test_weights_of_flows_are_those_of_diffusers(name: str) -> None:
    levels = SchedulerLevels(FlowMatching(), OutputKind("flow"), Clock("sigma"))
    for sigma in (0.01, 0.4, 0.99):
        wanted = float(compute_loss_weighting_for_sd3(name.replace("-", "_"), torch.tensor(sigma)))
        assert weight_at(Noise(weighting=name), levels, 1 - sigma, sigma) == pytest.approx(wanted, rel=1e-5)  # type: ignore[arg-type]


def test_weights_are_finite_at_both_ends() -> None:
    zero = TABLE.zero_terminal_snr()
    for prediction in ("eps", "v", "x0"):
        levels = SchedulerLevels(zero, OutputKind(prediction), Clock("index", 1000))  # type: ignore[arg-type]
        for t in (0.0, 1.0):
            alpha, sigma = map(float, zero(torch.tensor(t, dtype=torch.float64)))
            assert math.isfinite(weight_at(Noise(weighting="min-snr"), levels, alpha, sigma))
