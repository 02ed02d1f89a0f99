"""Memory of a sharded network against what two processes hold and allocate."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jvid.cli import main
from jvid.errors import InputError
from jvid_training.estimate.dry_run import dry_run
from jvid_training.estimate.gpus import gpus_named
from jvid_training.estimate.memory import sharded_memory
from jvid_training.estimate.shapes import Denoising
from jvid_training.estimate.step import cost_of
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import structure_recipe
from jvid_training.train.networks import build_network
from jvid_training.train.parallel import Parallel, gathered
from jvid_training.train.precision import Precision
from jvid_training.train.setup import accelerator_of
from tests.forks import run_ranks
from tests.jvid_training.estimate.test_step import allocations
from tests.training_tools import document, prepare, write_recipe


def held_by(network: nn.Module) -> int:
    """Bytes of the parameters that this process holds."""
    parts: list[Any] = [getattr(each, "_local_tensor", each) for each in network.parameters()]
    return sum(each.nbytes for each in parts)


@pytest.mark.parametrize(("kind", "accumulate"), [("image", 1), ("video", 1), ("image", 2)])
def test_each_of_two_processes_holds_what_is_estimated(tmp_path: Path, kind: str, accumulate: int) -> None:
    """Weights, gradients and moments of the first to the byte; its peak is at least half of the estimated one.

    Gloo holds what crosses the processes for as long as they need, on a busy machine for some blocks more.
    """
    recipe = structure_recipe(document(tmp_path, kind, sharding="full", batch=4, accumulate=accumulate))
    found = dry_run(recipe, gpus_named(["A100"]), processes=2).estimate

    def work() -> int:
        accelerator = accelerator_of(recipe)
        ranks = Ranks(accelerator.process_index, accelerator.num_processes)
        network = build_network(recipe)
        buffers = sum(each.nbytes for each in network.buffers())
        shared = Parallel(recipe, network, accelerator, ranks, Precision("no", accelerator.device))
        optimizer = torch.optim.AdamW(network.parameters(), foreach=False)
        batch = {
            name: torch.zeros(shape, dtype=torch.int64) if name == "n" else torch.randn(shape)
            for name, shape in found.batch.items()
        }
        objective = Denoising(frames=kind == "image")
        for _ in range(2):  # the first step makes what stays
            optimizer.zero_grad()
            with allocations() as held:
                for part in range(accumulate):
                    with shared.part(part == accumulate - 1):
                        objective.loss(shared.called, batch).mean().backward()
        gradients = sum(
            each.grad._local_tensor.nbytes for each in network.parameters() if each.grad is not None
        )
        optimizer.step()
        states = [value for state in optimizer.state.values() for value in state.values()]
        measured = {
            "weights": held_by(network) + buffers,
            "gradients": gradients,
            "moments": sum(getattr(value, "_local_tensor", value).nbytes for value in states),
            "step": max(held),
        }
        (tmp_path / f"{ranks.rank}.json").write_text(json.dumps(measured))
        return 0

    codes, printed = run_ranks(2, work)
    assert codes == [0, 0], printed
    measured = json.loads((tmp_path / "0.json").read_text())
    memory = found.memory
    assert (memory.weights, memory.gradients, memory.moments) == (
        measured["weights"],
        measured["gradients"],
        measured["moments"],
    )
    step = memory.peak - memory.weights - memory.moments - memory.average
    print(f"{kind}: estimated {step:,}, measured {measured['step']:,}")
    assert 0.5 * step < measured["step"] < 1.5 * step


class Stack(nn.Module):
    """Equal blocks, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(12))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class MeanSquare:
    """The mean square of a network's output, per sample."""

    def sample(self, windows: Any, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        raise NotImplementedError

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        output: Tensor = network(batch["x"])
        return output.square().mean(1)


@pytest.mark.parametrize("parts", [1, 3])
def test_gradients_of_a_step_of_several_parts_are_whole_until_the_last(tmp_path: Path, parts: int) -> None:
    """They cross the processes with it alone: of many blocks they are more than all that is gathered."""
    recipe = structure_recipe(
        document(tmp_path, sharding="full", batch=3 * parts, accumulate=parts, samples_every=0)
    )
    with torch.device("meta"):
        network, batch = Stack(), {"x": torch.empty(4, 64)}
    parameters, objective = dict(network.named_parameters()), MeanSquare()
    cost = cost_of(network, parameters, objective, batch, accumulated=parts > 1, sharded=True)
    memory = sharded_memory(network, parameters, cost, 3, 0, gathered(network), accumulated=parts > 1)
    estimated = memory.peak - memory.weights - memory.moments - memory.average

    def work() -> int:
        accelerator = accelerator_of(recipe)
        ranks = Ranks(accelerator.process_index, accelerator.num_processes)
        stack = Stack()
        shared = Parallel(recipe, stack, accelerator, ranks, Precision("no", accelerator.device))
        x = torch.randn(4, 64)
        for _ in range(2):  # the first step makes what stays
            stack.zero_grad()
            with allocations() as held:
                for part in range(parts):
                    with shared.part(last=part == parts - 1):
                        objective.loss(shared.called, {"x": x}).mean().backward()
        (tmp_path / f"{ranks.rank}.json").write_text(json.dumps(max(held)))
        return 0

    codes, printed = run_ranks(3, work)
    assert codes == [0, 0, 0], printed
    measured = json.loads((tmp_path / "0.json").read_text())
    print(f"{parts} parts: estimated {estimated:,}, measured {measured:,}")
    assert 0.5 * estimated < measured < 1.5 * estimated


def test_what_a_sharded_network_cannot_do_is_refused_before_the_run(tmp_path: Path) -> None:
    recipe = structure_recipe(document(tmp_path, sharding="full", batch=2, samples_every=2))
    problem = dry_run(recipe, gpus_named(["A100"]), processes=2).problem
    assert problem is not None
    assert problem.startswith("training.samples_every: one process makes the samples")
    alone = dry_run(recipe, gpus_named(["A100"])).problem
    assert alone is not None
    assert "samples_every" not in alone


def test_weights_that_are_not_trained_are_no_activations_of_a_sharded_network(tmp_path: Path) -> None:
    """In bf16 they are gathered as the others are: fewer activations than where all are trained, and no copies of weights."""

    def activations(*fixed: str) -> int:
        recipe = prepare(tmp_path, sharding="full", batch=2, precision="bf16", fixed=list(fixed))
        run = dry_run(recipe, gpus_named(["A100"]), processes=2)
        assert run.problem is None
        assert (run.estimate.fixed > 0) == bool(fixed)
        return run.estimate.memory.activations

    assert activations("down_blocks.*", "mid_block.*") <= activations()


def test_layers_that_the_stock_forward_keeps_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fast forward computes a clip network's layers again; diffusers', which sharding and compilation need, does not."""
    prepare(tmp_path, "video")
    plain = partial(document, tmp_path, "video")
    assert dry_run(structure_recipe(plain(checkpointing=True)), gpus_named(["A100"])).problem is None
    refused = "training.checkpointing: a sharded or compiled UNet3DConditionModel takes diffusers' forward"
    with pytest.raises(InputError, match=refused):
        dry_run(
            structure_recipe(plain(checkpointing=True, sharding="full", batch=2)),
            gpus_named(["A100"]),
            processes=2,
        )
    path = write_recipe(tmp_path / "recipe.toml", plain(checkpointing=True, compile=True))
    assert main(["train", str(path)]) == 2
    printed = capsys.readouterr().err
    assert refused in printed
    assert "Traceback" not in printed
    assert main(["train", str(path), "--dry-run"]) == 2
    assert refused in capsys.readouterr().err
