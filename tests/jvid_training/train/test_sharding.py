"""Networks that processes share, by DDP and FSDP2: the steps of one process, other numbers of processes, plain files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from jvid.cli import main
from jvid_models.fast import AcceleratedUNet
from jvid_training.export import Part, read_run
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.checkpoints import averages, checkpoints
from jvid_training.train.networks import build_network
from jvid_training.train.parallel import Parallel, blocks, compile_backend
from jvid_training.train.precision import Precision
from jvid_training.train.setup import accelerator_of
from jvid_training.train.trainer import train
from tests.forks import run_ranks
from tests.training_tools import document, few_held_out_samples, prepare, write_recipe

STEADY = {"lr": 1e-3, "warmup": 2, "eps": 1e-3}
"""Adam with an eps above rounding: without, a gradient that is 0 but for rounding moves a weight by the whole rate."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of clips, latents and prompts, and of runs of one process: four steps, and six."""
    folder = tmp_path_factory.mktemp("data")
    prepare(folder, "image")
    with few_held_out_samples():
        for steps in (4, 6):
            train(recipe_in(folder / f"one-{steps}", folder, steps=steps, checkpoint_every=steps))
    return folder


def plain(out: Path, data: Path, kind: str = "image", **training: Any) -> dict[str, Any]:
    return document(data, kind, **training) | {"out": str(out), "optimiser": STEADY}


def recipe_in(out: Path, data: Path, kind: str = "image", **training: Any) -> Recipe:
    return structure_recipe(plain(out, data, kind, **training))


def by_two(out: Path, data: Path, kind: str = "image", **training: Any) -> None:
    """Two processes train."""
    path = write_recipe(data / "recipe.toml", plain(out, data, kind, **training))
    codes, printed = run_ranks(2, lambda: main(["train", str(path)]))
    assert codes == [0, 0], printed


def run_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "final/run.json").read_text())


def losses(out: Path) -> list[float]:
    return [
        value for entry in run_of(out)["curve"] for value in (entry["loss"], entry.get("validation", 0.0))
    ]


def difference(one: Path, other: Path) -> float:
    """The largest relative difference of losses, and absolute one of final weights."""
    found = np.abs(np.array(losses(one)) / np.maximum(losses(other), 1e-9) - 1)[
        np.array(losses(other)) > 0
    ].max()
    first, second = (load_file(path / "final/model.safetensors") for path in (one, other))
    assert first.keys() == second.keys()
    weights = max(float((first[name] - second[name]).abs().max()) for name in first)
    print(f"losses {found:.1e}, weights {weights:.1e}")
    return max(float(found), weights)


def test_two_whole_networks_take_the_steps_of_one(tmp_path: Path, data: Path) -> None:
    by_two(tmp_path / "two", data, checkpoint_every=4)
    assert difference(tmp_path / "two", data / "one-4") < 5e-7
    assert run_of(tmp_path / "two")["processes"] == 2


def test_a_sharded_network_takes_the_steps_of_one(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "two"
    by_two(out, data, sharding="full", accumulate=2, checkpoint_every=4)
    assert difference(out, data / "one-4") < 5e-7
    assert run_of(out)["sharded"]
    (last,) = checkpoints(out)
    names = {path.name for path in last.iterdir()}
    assert len({name for name in names if name.startswith("shard-")}) == 2
    assert names - {name for name in names if name.startswith("shard-")} == {"state.json", "manifest.json"}
    ended, saved = load_file(out / "final/model.safetensors"), averages(last)
    assert all(torch.equal(ended[name], saved[name]) for name in ended | saved)
    # A run that was stopped is read from its parts.
    shutil.copytree(last, tmp_path / "stopped" / last.name)
    stopped = read_run(tmp_path / "stopped", "image").network.state_dict()
    assert stopped.keys() == saved.keys()
    assert all(torch.equal(stopped[name], saved[name]) for name in saved)
    assert not Part(tmp_path / "stopped").is_published

    # One process goes on from the parts of two, and ends as an unbroken run of one does.
    train(recipe_in(out, data, sharding="full", steps=6, checkpoint_every=6))
    assert difference(out, data / "one-6") < 5e-7
    assert (checkpoints(out)[-1] / "model.safetensors").is_file()
    assert [each["step"] for each in run_of(out)["changes"]] == [4]


def test_a_sharded_run_goes_on_from_whole_tensors(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "run"
    train(recipe_in(out, data, checkpoint_every=4))
    by_two(out, data, sharding="full", checkpointing=True, steps=6, checkpoint_every=6)
    assert difference(out, data / "one-6") < 5e-7


@pytest.mark.parametrize("kind", ["image", "video"])
def test_blocks_are_the_outermost_lists(tmp_path: Path, kind: str) -> None:
    """Every block of a UNet is one, and none is within another."""
    network = build_network(recipe_in(tmp_path, tmp_path, kind))
    found = list(blocks(network))
    for each in [*network.down_blocks, *network.up_blocks, *network.mid_block.resnets]:
        assert any(each is block for block in found)
    inner = [module for block in found for module in block.modules() if module is not block]
    assert not {id(block) for block in found} & {id(module) for module in inner}
    nested = nn.Sequential(
        nn.ModuleList([nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)]), nn.Linear(1, 1)])
    )
    assert [type(block) for block in blocks(nested)] == [nn.Linear] * 3


def test_a_compiled_network_has_plain_names(tmp_path: Path, monkeypatch) -> None:
    """As ``accelerate launch --dynamo_backend eager`` requests; a UNet's own forward is compiled, not the fast one."""
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x, names = torch.randn(5, 3), list(network.state_dict())
    plain = network(x)
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "EAGER")
    recipe = recipe_in(tmp_path, tmp_path, "decoder")
    accelerator, precision = accelerator_of(recipe), Precision("no", torch.device("cpu"))
    parallel = Parallel(recipe, network, accelerator, Ranks(), precision)
    parallel.connect()
    torch.testing.assert_close(parallel.called(x), plain)
    assert network._compiled_call_impl is not None, "its calls are compiled, in place"
    assert list(network.state_dict()) == list(dict(parallel.called.named_parameters())) == names
    assert compile_backend(recipe) == "eager"
    unet = build_network(recipe_in(tmp_path, tmp_path))
    assert Parallel(recipe_in(tmp_path, tmp_path), unet, accelerator, Ranks(), precision).called is unet
    monkeypatch.delenv("ACCELERATE_DYNAMO_BACKEND")
    fast = Parallel(recipe_in(tmp_path, tmp_path), unet, accelerator, Ranks(), precision).called
    assert isinstance(fast, AcceleratedUNet)
    assert compile_backend(recipe_in(tmp_path, tmp_path, compile=True)) == "inductor"
