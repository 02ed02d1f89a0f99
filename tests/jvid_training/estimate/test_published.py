"""The estimate of a published model's run, without its weights, against a step of it with weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from jvid.cli import main
from jvid.errors import InputError
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_training.estimate.dry_run import dry_run
from tests.jvid_training.published.models import batch_of, loaded, recipe_of, saved

LORA = {"rank": 4, "targets": ["to_q", "to_v"]}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "a UNet of pictures": ("StableDiffusionPipeline", {}),
    "a UNet of clips": ("TextToVideoSDPipeline", {"frames": 3}),
    "a transformer of pictures": ("FluxPipeline", {}),
    "a transformer of clips": ("LTXPipeline", {"frames": 9}),
    "parameters without a gradient": ("QwenImagePipeline", {}),
    "adapters": ("WanPipeline", {"frames": 5, "lora": LORA}),
}


@pytest.mark.parametrize("case", [pytest.param(each, id=name) for name, each in CASES.items()])
def test_it_equals_a_step_with_weights(
    case: tuple[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    name, sections = case
    recipe = recipe_of(saved(tmp_path_factory, name), **sections)
    run = dry_run(recipe)
    found = run.estimate
    assert run.problem is not None
    assert "run `jvid encode RECIPE` first" in run.problem

    model, network = loaded(recipe, native=False)
    batch, objective, _ = batch_of(recipe, model)
    with torch.no_grad():
        objective.loss(network, batch)  # encodes the prompts
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loss = objective.loss(network, batch).mean()
        forward = counter.get_total_flops()
        loss.backward()
    backward = counter.get_total_flops() - forward
    if name != "QwenImagePipeline":  # it does not pad its prompts: those of the estimate have other lengths
        assert found.cost.forward == forward
        # A GPU's attention computes its weights again in the backward pass; torch's counter sees one that keeps them.
        assert backward <= found.cost.backward < 1.3 * backward

    every = list(network.parameters())
    trained = [each for each in every if each.requires_grad]
    assert found.trained == sum(each.numel() for each in trained)
    assert found.fixed == sum(each.numel() for each in every) - found.trained
    assert found.cost.gradients == sum(each.grad.nbytes for each in trained if each.grad is not None)
    modules = [*modules_of(model.whole.pipe).values()]
    assert found.memory.weights == sum(
        each.nbytes for module in modules for each in (*module.parameters(), *module.buffers())
    )
    assert found.unused == ()


def test_layers_that_are_computed_again_take_less_memory_and_more_operations(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = saved(tmp_path_factory, "WanPipeline")
    plain = dry_run(recipe_of(folder, frames=5)).estimate
    again = dry_run(recipe_of(folder, frames=5, training={"checkpointing": True})).estimate
    assert again.memory.activations < 0.5 * plain.memory.activations
    assert again.cost.backward == plain.cost.backward + plain.again
    assert plain.other == again.memory
    assert again.cost.gradients == plain.cost.gradients


def test_the_batch_is_that_of_a_device(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = saved(tmp_path_factory, "FluxPipeline")
    one = dry_run(recipe_of(folder, training={"batch": 8})).estimate
    four = dry_run(recipe_of(folder, training={"batch": 8}), processes=4).estimate
    assert four.step == one.step
    assert (one.batch["x"][0], four.batch["x"][0]) == (8, 2)
    assert four.memory.exchange == four.memory.gradients > 0
    assert four.cost.activations == pytest.approx(one.cost.activations / 4, rel=0.05)


def test_buckets_are_the_mean_of_their_steps_and_the_most_of_their_memory(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each bucket by itself is a recipe of one size; without latents as many steps are of each."""
    folder = saved(tmp_path_factory, "WanPipeline")
    sizes = [{"height": 64, "width": 96, "frames": 5}, {"height": 32, "width": 64, "frames": 9}]

    def of(*buckets: dict[str, int]) -> Any:
        data = {"root": "unused", "latents": "unused", "buckets": list(buckets)}
        return dry_run(recipe_of(folder, frames=5, data=data)).estimate

    both, (large, small) = of(*reversed(sizes)), [of(each) for each in sizes]
    assert (large.batch["x"], small.batch["x"]) == ((2, 16, 2, 8, 12), (2, 16, 3, 4, 8))
    assert both.batch == large.batch
    assert both.cost.forward == round((large.cost.forward + small.cost.forward) / 2)
    assert both.cost.backward == round((large.cost.backward + small.cost.backward) / 2)
    assert both.cost.forward < large.cost.forward
    assert both.memory == large.memory
    assert [str(bucket) for bucket in both.buckets] == ["64x96x5", "32x64x9"]
    assert "as many steps of each bucket" in both.assumed


def test_bad_input_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved(tmp_path_factory, "LTXPipeline")
    with pytest.raises(InputError, match=r"lora.targets: no layer of the LTX\w+ is named 'to_x'"):
        dry_run(recipe_of(folder, frames=9, lora={"rank": 2, "targets": ["to_x"]}))
    compiled = dry_run(recipe_of(folder, frames=9, training={"compile": True})).problem
    assert compiled is not None
    assert compiled.startswith("training.compile: got a published model")
    with pytest.raises(InputError, match="makes frames: expected kind = 'image'"):
        dry_run(recipe_of(saved(tmp_path_factory, "StableDiffusionPipeline"), frames=3))
    written = tmp_path / "recipe.toml"
    written.write_text(
        f'name = "one"\nkind = "video"\nout = "{tmp_path / "out"}"\n[data]\nroot = "clips"\nlatents = "{tmp_path / "latents"}"\n'
        f'size = 64\nframes = 9\n[network]\npipeline = "{folder}"\n[training]\nsteps = 10\nbatch = 2\n'
    )
    assert (
        main(["train", str(written), "--dry-run", "--gpu", "A100"]) == 2
    )  # the latents are still to be encoded
    shown = capsys.readouterr()
    assert "52,584 trained, 0 fixed" in shown.out
    assert "jvid encode RECIPE" in shown.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_sharded_model_has_a_part_of_its_tensors_and_a_few_blocks(
    lora: dict[str, Any] | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Blocks are the transformer's; encoders and autoencoder stay whole. Adapters alone have gradients."""
    sections = {"lora": lora} if lora else {}
    training = {"batch": 4, "sharding": "full", "precision": "bf16"}
    recipe = recipe_of(saved(tmp_path_factory, "WanPipeline"), frames=5, training=training, **sections)
    memory = dry_run(recipe, processes=4).estimate.memory
    assert dry_run(recipe).estimate.memory.exchange == 0, "one process shares nothing"

    model, network = loaded(recipe, native=False)
    blocks = [*model.network.blocks]
    every = list(network.parameters())

    def rows(tensors: Any) -> int:
        """Bytes of the first process of four."""
        return sum(each[: -(-len(each) // 4)].nbytes for each in tensors)

    encoders = [each for each in modules_of(model.whole.pipe).values() if each is not model.network]
    beside = [each for module in encoders for each in (*module.parameters(), *module.buffers())]
    assert memory.weights == rows(every) + sum(each.nbytes for each in [*model.network.buffers(), *beside])
    trained = [each for each in every if each.requires_grad]
    assert memory.gradients == rows(trained)
    assert memory.moments == 2 * rows(trained) + 4 * len(trained)
    assert memory.average == rows(trained)

    block = sum(each.numel() for each in blocks[0].parameters())
    root = sum(each.numel() for each in every) - len(blocks) * block
    whole = [each for each in trained if not any(each is own for own in model.network.blocks.parameters())]
    gradients = sum(each.numel() for each in blocks[0].parameters() if each.requires_grad)
    expected = 2 * (root + 3 * block) + 4 * (sum(each.numel() for each in whole) + 2 * gradients)
    assert memory.exchange == expected
