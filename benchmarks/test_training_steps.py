"""A step of the trainer against a plain diffusers loop: same batch, same objective, text of 77 x 768, one thread.

The plain loop has diffusers' forward, autocast, AdamW, clipping and `EMAModel`, as its training examples do. Both sides count
processor seconds and alternate. Memory is what torch's allocator holds beside weights, gradients and moments at its highest.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from benchmarks.memory import peak_bytes
from benchmarks.ratios import claim, interleaved, threads
from benchmarks.test_fast_unets import SMALL
from jvid.schedules import TabulatedSchedule
from jvid_models.networks.unets import image_unet, video_unet
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.average import Average
from jvid_training.train.guard import Guard
from jvid_training.train.objectives import PredictNoise
from jvid_training.train.optimisation import optimizer_of
from jvid_training.train.parallel import Parallel
from jvid_training.train.parameters import trained
from jvid_training.train.precision import Precision
from jvid_training.train.saving import Saver
from jvid_training.train.trainer import _Run
from jvid_training.train.watch import StepWatch

BATCH = {"image": 16, "video": 1}
FRAMES, SIDE, TOKENS, TEXT = 16, 8, 77, 768
SPEED = {"no": 1.2, "bf16": 1.6}


def recipe_of(kind: str, folder: Any = "runs/benchmark", **training: Any) -> Recipe:
    """A recipe of the small network; its data are not read."""
    network = {name: list(value) if isinstance(value, tuple) else value for name, value in SMALL.items()}
    return structure_recipe(
        {
            "name": "benchmark", "kind": kind, "out": str(folder), "network": network,
            "data": {"root": "-", "latents": "-"}, "training": {"steps": 1000, "batch": BATCH[kind], **training},
        }
    )  # fmt: skip


def batch_of(kind: str) -> dict[str, Tensor]:
    """What `PredictNoise.sample` gives, stacked."""
    count, generator = BATCH[kind], torch.Generator().manual_seed(1)
    shape = (count, 4, FRAMES if kind == "video" else 1, SIDE, SIDE)
    return {
        "x": torch.randn(shape, generator=generator),
        "target": torch.randn(shape, generator=generator),
        "n": torch.randint(1000, (count,), generator=generator),
        "text": torch.randn(count, TOKENS, TEXT, generator=generator),
    }


def network_of(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return (video_unet if kind == "video" else image_unet)(**SMALL)


class Prompts:
    """An encoder in whose place a batch has embeddings."""


@attrs.frozen(eq=False)
class Batch:
    """One batch, again and again, in place of samples of encoded clips."""

    objective: PredictNoise
    only: dict[str, Tensor]
    ranks: Ranks = attrs.field(factory=Ranks)

    def parts(self, step: int) -> list[dict[str, Tensor]]:
        return [self.only]


def trainer_of(recipe: Recipe) -> Any:
    """What a step of `_Run` uses of it."""
    accelerator, ranks = Accelerator(cpu=True), Ranks()
    network, precision = network_of(recipe.kind), Precision(recipe.training.precision, torch.device("cpu"))
    batches: Any = Batch(
        PredictNoise.of(recipe, TabulatedSchedule.scaled_linear(), Prompts()), batch_of(recipe.kind)
    )
    parallel = Parallel(recipe, network, accelerator, ranks, precision)
    return SimpleNamespace(
        recipe=recipe, step=0, accelerator=accelerator, ranks=ranks, batches=batches, precision=precision,
        watch=StepWatch(batches.objective, accelerator),
        guard=Guard(recipe, batches), parallel=parallel, optimizer=optimizer_of(recipe.optimiser, network),
        average=Average(trained(network), recipe.training.ema), network=network,
    )  # fmt: skip


class Plain:
    """A loop as diffusers' examples write it."""

    def __init__(self, recipe: Recipe) -> None:
        self.network, self.kind = network_of(recipe.kind), recipe.kind
        self.optimizer = torch.optim.AdamW(self.network.parameters(), recipe.optimiser.lr)
        self.average = EMAModel(self.network.parameters(), decay=recipe.training.ema)
        self.bf16 = recipe.training.precision == "bf16"
        self.batch = batch_of(recipe.kind)

    def loss(self) -> Tensor:
        x, target = self.batch["x"], self.batch["target"]
        if self.kind == "image":
            x, target = x[:, :, 0], target[:, :, 0]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            predicted = self.network(x, self.batch["n"], self.batch["text"]).sample
        return nn.functional.mse_loss(predicted.float(), target)

    def step(self) -> float:
        loss = self.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.step(self.network.parameters())
        return float(loss.detach())


@pytest.mark.parametrize("precision", SPEED)
@pytest.mark.parametrize("kind", ["video", "image"])
def test_one_training_step(benchmark, kind, precision):
    if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no instructions for bf16")
    recipe = recipe_of(kind, precision=precision)
    ours, plain = trainer_of(recipe), Plain(recipe)
    with threads(1) as shown:
        first = _Run._one_step(ours), plain.step()
        error = abs(first[0] - first[1])
        assert error < (1e-5 if precision == "no" else 2e-2), first
        medians = benchmark.pedantic(
            interleaved,
            args=({"plain": plain.step, "ours": lambda: _Run._one_step(ours)},),
            kwargs={"rounds": 5, "warmup": 0, "clock": time.process_time},
            rounds=1,
        )
    rate = {side: BATCH[kind] / seconds for side, seconds in medians.items()}
    claim(
        benchmark, f"{rate['plain']:.2f}/s", f"{rate['ours']:.2f}/s", rate["ours"] / rate["plain"], SPEED[precision],
        figure=f"training, 64 wide, {kind}, {'float32' if precision == 'no' else precision}, {shown}",
        remarks=f"samples per processor second; losses differ by {error:.1e}",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["video", "image"])
def test_memory_with_checkpointing(benchmark, kind):
    sides = {
        "stored": trainer_of(recipe_of(kind)),
        "again": trainer_of(recipe_of(kind, checkpointing=True)),
    }
    plain = Plain(recipe_of(kind))

    def gradients(run: Any) -> None:
        (batch,) = run.batches.parts(0)
        run.batches.objective.loss(run.parallel.called, batch).mean().backward()

    with threads(1):
        # Once before: a step ends with the gradients gone, and what is measured is beside them.
        for run in sides.values():
            gradients(run)
        plain.loss().backward()
        peaks = benchmark.pedantic(
            lambda: {name: peak_bytes(lambda run=run: gradients(run)) for name, run in sides.items()},
            rounds=1,
        )
        peaks["plain"] = peak_bytes(lambda: plain.loss().backward())
    claim(
        benchmark, f"{peaks['plain'] / 1e6:.0f} MB", f"{peaks['again'] / 1e6:.0f} MB", peaks["again"] / peaks["plain"],
        0.45, least=False, figure=f"peak of a training step with checkpointing, 64 wide, {kind}",
        remarks=f"{peaks['stored'] / 1e6:.0f} MB without",
    )  # fmt: skip


def test_a_checkpoint_a_minute(benchmark, tmp_path):
    """The share of a minute that the thread which trains spends on a checkpoint."""
    run = trainer_of(recipe_of("video", tmp_path))
    _Run._one_step(run)
    saver = Saver(run.recipe, None, run.ranks, run.network, False, run.average, run.optimizer)
    state = {"curve": [], "seconds": 0.0, "validation": None}

    def save() -> dict[str, float]:
        began = time.thread_time(), time.process_time()
        saver.save(run.step, state)  # the thread that trains; another one writes
        stopped = time.thread_time() - began[0]
        saver.wait()
        return {"stopped": stopped, "whole": time.process_time() - began[1]}

    save()
    found = benchmark.pedantic(save, rounds=1)
    saver.close()
    weights = sum(each.numel() for each in trained(run.network).values())
    claim(
        benchmark, f"{found['whole']:.2f} s", f"{found['stopped']:.3f} s", found["stopped"] / 60, 0.05, least=False,
        figure="a checkpoint a minute, share of the time that training stops",
        remarks=f"{weights / 1e6:.0f}M parameters; processor seconds of the training thread, and of the whole checkpoint",
    )  # fmt: skip
