"""Operations and memory of a step against closed forms, torch's own counter, and what torch's allocator measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from jvid_training.estimate.estimate import estimate
from jvid_training.estimate.gpus import gpus_named
from jvid_training.estimate.meter import Meter
from jvid_training.estimate.precision import GpuStep
from jvid_training.estimate.shapes import Denoising, Shapes, batches_of
from jvid_training.estimate.step import cost_of
from jvid_training.estimate.steps import RecipeSteps
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.networks import accelerated, build_network
from jvid_training.train.objectives import Reconstruct
from tests.training_tools import document


class OfLoss:
    """An objective whose loss is a function of the network's output."""

    def __init__(self, of: Callable[[nn.Module, dict[str, Tensor]], Tensor]) -> None:
        self.of = of

    def sample(self, *_: Any) -> dict[str, Tensor]:
        raise NotImplementedError

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return self.of(network, batch)


def squared(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return network(batch["x"]).square().flatten(1).mean(1)


def test_linear_layers_have_their_closed_form() -> None:
    """b rows of 8 -> 16 -> 4: 2 b (8 16 + 16 4) forward; backward both products of each layer but the input's gradient."""
    with torch.device("meta"):
        network, x = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), torch.empty(5, 8)
    cost = cost_of(network, dict(network.named_parameters()), OfLoss(squared), {"x": x})
    assert cost.forward == 2 * 5 * (8 * 16 + 16 * 4)
    assert cost.backward == 2 * 5 * (8 * 16 + 2 * 16 * 4)
    assert cost.gradients == 4 * (8 * 16 + 16 + 16 * 4 + 4)
    # Kept for the backward pass: x, the ReLU's output, and the last output, which is squared.
    assert cost.activations >= 4 * 5 * (8 + 16 + 4)
    assert cost.unused == ()


def test_a_residual_block_of_a_unet_has_its_closed_form() -> None:
    """Two 3x3 convolutions, a 1x1 one where the widths differ, and the projection of the time's embedding."""
    b, c, d, t, h, w = 2, 32, 64, 16, 6, 4
    with torch.device("meta"):
        block = ResnetBlock2D(in_channels=c, out_channels=d, temb_channels=t, groups=8)
        batch = {"x": torch.empty(b, c, h, w), "time": torch.empty(b, t)}
    objective = OfLoss(lambda network, batch: network(batch["x"], batch["time"]).square().flatten(1).mean(1))
    cost = cost_of(block, dict(block.named_parameters()), objective, batch)
    first, second, shortcut, time = 9 * c * d * h * w, 9 * d * d * h * w, c * d * h * w, t * d
    assert cost.forward == 2 * b * (first + second + shortcut + time)
    # The gradients of all weights, and of the inputs but of x into the shortcut and of the time.
    assert cost.backward == 2 * b * (2 * first + 2 * second + shortcut + time)


def test_attention_has_its_closed_form_and_keeps_no_matrix() -> None:
    b, heads, q, k, d = 2, 3, 32, 20, 8
    with torch.device("meta"):
        query, key = torch.empty(b, heads, q, d, requires_grad=True), torch.empty(b, heads, k, d)
    with GpuStep(), Meter([query, key]) as meter:
        out = torch.nn.functional.scaled_dot_product_attention(query, key, key)
    assert meter.flops == 2 * b * heads * (2 * q * k * d)
    assert out.shape == query.shape
    assert meter.live < 4 * b * heads * q * (d + k), "the output and a number for each row, not q x k weights"


def recipe_of(folder: Path, kind: str, **training: Any) -> Recipe:
    return structure_recipe(document(folder, kind, **training))


def estimated(recipe: Recipe, processes: int = 1) -> Any:
    with torch.device("meta"):
        network = build_network(recipe)
    objective: Any = Reconstruct(recipe) if recipe.kind == "decoder" else Denoising(recipe.kind == "image")
    shapes = Shapes(4, 8, 3, 16)
    steps = RecipeSteps(recipe, network, objective, shapes)
    return estimate(recipe, network, steps, gpus_named(["A100"]), 0.5, processes), objective


def test_operations_of_a_network_equal_torchs_counter(tmp_path: Path) -> None:
    """diffusers' forward, which torch's counter makes the accelerated network hand over to, on the same batch."""
    recipe = recipe_of(tmp_path, "image")
    with torch.device("meta"):
        network = build_network(recipe)
    ((_, batch),) = batches_of(recipe, Shapes(4, 8, 3, 16), 2)
    objective = Denoising(frames=True)
    network.set_attn_processor(AttnProcessor())  # products of matrices: torch counts them as they are
    cost = cost_of(network, dict(network.named_parameters()), objective, batch)
    with FlopCounterMode(display=False) as counter:
        objective.loss(network, batch).mean().backward()
    assert cost.forward + cost.backward == counter.get_total_flops()


@contextmanager
def allocations() -> Iterator[list[int]]:
    """Bytes held over the bytes at the beginning, after each allocation of torch on the CPU."""
    held: list[int] = []
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        yield held
    total = 0
    for event in sorted(measured.profiler.kineto_results.events(), key=lambda each: each.start_ns()):
        if event.name() == "[memory]" and event.device_type().name == "CPU":
            total += event.nbytes()
            held.append(total)


@pytest.mark.parametrize(
    ("kind", "checkpointing"), [("image", False), ("image", True), ("video", True), ("decoder", False)]
)
def test_memory_equals_what_torch_allocates(tmp_path: Path, kind: str, checkpointing: bool) -> None:
    """Weights, gradients and moments to the byte; the peak of a step to a twentieth."""
    recipe = recipe_of(tmp_path, kind, checkpointing=checkpointing)
    if kind == "image":  # larger than what convolutions take for a moment besides
        recipe = attrs.evolve(recipe, data=attrs.evolve(recipe.data, size=64))
    found, objective = estimated(recipe)
    torch.manual_seed(0)
    network = build_network(recipe)
    run = accelerated(network, checkpointing) if kind != "decoder" else network
    batch = {
        name: torch.zeros(shape, dtype=torch.int64) if name == "n" else torch.randn(shape)
        for name, shape in found.batch.items()
    }
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    given = sum(each.nbytes for each in batch.values())
    with allocations() as held:
        objective.loss(run, batch).mean().backward()
    gradients = sum(each.grad.nbytes for each in network.parameters() if each.grad is not None)
    optimizer.step()
    moments = sum(value.nbytes for state in optimizer.state.values() for value in state.values())
    weights = sum(each.nbytes for each in [*network.parameters(), *network.buffers()])
    assert (found.memory.weights, found.memory.gradients) == (weights, gradients)
    assert found.memory.moments == moments
    ratio = found.cost.peak / (max(held) + given)
    print(f"{kind}, checkpointing {checkpointing}: estimated {found.cost.peak:,}, ratio {ratio:.3f}")
    assert 0.95 < ratio < 1.05
