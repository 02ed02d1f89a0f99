"""Losses by level of noise and the gradient's norm, against sums written out here."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from jvid.schedules import TabulatedSchedule
from jvid_models.text import EmbeddingTable
from jvid_training.data.windows import Windows
from jvid_training.train.curves import plot_curves
from jvid_training.train.networks import build_network
from jvid_training.train.objectives import PredictNoise
from jvid_training.train.trainer import train
from jvid_training.train.watch import BANDS, StepWatch, band_names
from tests.training_tools import prepare


class OfTimes:
    def times(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["t"]


def test_bands_are_means_of_the_losses_at_their_levels() -> None:
    random = np.random.default_rng(3)
    t, losses = random.random((4, 3, 7)), random.random((4, 3, 7))
    t[0, 0, 0], t[0, 0, 1] = 0.0, 1.0  # both ends have a band
    watch = StepWatch(OfTimes(), Accelerator(cpu=True))
    for one, other in zip(t, losses, strict=True):
        watch.add_losses(torch.tensor(other), {"t": torch.tensor(one)})
    band = np.minimum((t * BANDS).astype(int), BANDS - 1)
    found = watch.take()
    assert found == {
        name: pytest.approx(losses[band == k].mean(), rel=1e-5) for k, name in enumerate(band_names())
    }
    assert watch.take() == {}, "averages are of the steps since the last log"


def test_losses_that_are_not_finite_have_no_band() -> None:
    watch = StepWatch(OfTimes(), Accelerator(cpu=True))
    watch.add_losses(torch.tensor([1.0, float("nan"), 3.0]), {"t": torch.tensor([0.05, 0.05, 0.95])})
    watch.add_norm(2.0)
    watch.add_norm(float("inf"))
    assert watch.take() == {
        "loss_t/0.0-0.1": 1.0,
        "loss_t/0.9-1.0": 3.0,
        "grad_norm": 2.0,
        "grad_norm_max": 2.0,
    }


def test_an_objective_without_levels_has_no_bands() -> None:
    watch = StepWatch(object(), Accelerator(cpu=True))
    watch.add_losses(torch.ones(2), {})
    assert watch.take() == {}


def test_a_run_logs_them(tmp_path: Path) -> None:
    """One step: the bands add up to the loss, and the norm is the gradient's before clipping."""
    recipe = prepare(tmp_path, "image", steps=1)
    recipe = attrs.evolve(recipe, optimiser=attrs.evolve(recipe.optimiser, clip=1e-3))
    train(recipe)
    logged = json.loads((tmp_path / "run/log.jsonl").read_text())

    table = EmbeddingTable.load(tmp_path / "prompts.safetensors")
    objective = PredictNoise.of(recipe, TabulatedSchedule.scaled_linear(), table)
    windows = Windows(tmp_path / "latents")
    samples = [objective.sample(windows, 0, 0, place, 4) for place in range(4)]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    set_seed(0)
    network: nn.Module = build_network(recipe)
    losses = objective.loss(network, batch)
    losses.mean().backward()
    gradient = torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None])
    assert logged["grad_norm"] == pytest.approx(float(gradient.norm()), rel=1e-3)
    assert logged["grad_norm"] > 10 * recipe.optimiser.clip
    t = (batch["n"].double() + 1) / 1000
    band = (t * BANDS).long().clamp(max=BANDS - 1)
    expected = {band_names()[k]: float(losses.detach()[band == k].mean()) for k in band.unique().tolist()}
    assert {name: logged[name] for name in logged if name.startswith("loss_t/")} == {
        name: pytest.approx(value, rel=1e-3) for name, value in expected.items()
    }
    assert logged["minutes_left"] == 0

    (events,) = (tmp_path / "run/logs/tiny").glob("events.*")
    scalars = EventAccumulator(str(events)).Reload().Tags()["scalars"]
    assert {"grad_norm", "rate", "minutes_left", *expected} <= set(scalars)
    plot_curves([tmp_path / "run"], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
