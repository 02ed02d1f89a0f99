"""Published networks in parts: two processes take the steps of one, whole and by LoRA, and leave the same files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jvid.cli import main
from jvid.errors import InputError
from jvid_training.recipe import structure_recipe
from jvid_training.train.checkpoints import averages, checkpoints
from jvid_training.train.parallel import gathered
from jvid_training.train.trainer import train
from tests.caption_tools import make_captioned
from tests.forks import run_ranks
from tests.jvid_training.published.models import loaded, recipe_of, saved
from tests.training_tools import few_held_out_samples, write_recipe

SD, WAN, CLIPS = "StableDiffusionPipeline", "WanPipeline:2.2", "TextToVideoSDPipeline"
SHORT = {"options": {"max_sequence_length": 32}}
LORA = {"rank": 3, "targets": ["to_q", "to_v"]}
"""Of odd rank: one process has a larger part of it than the other."""
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": (SD, {}),
    "transformer": (WAN, {"network": {"expert": "low", **SHORT}}),
    "lora": (WAN, {"network": {"expert": "low", **SHORT}, "lora": LORA}),
}


@pytest.fixture(autouse=True)
def short_validations() -> Iterator[None]:
    with few_held_out_samples(2):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of clips, and of their latents for each model."""
    folder = tmp_path_factory.mktemp("data")
    make_captioned(folder / "clips")
    for kind in ("unet", "transformer"):
        path = write_recipe(folder / "encode.toml", document(folder, tmp_path_factory, kind))
        assert main(["encode", str(path)]) == 0
    return folder


def document(data: Path, factory: Any, kind: str, out: Path | None = None, **training: Any) -> dict[str, Any]:
    name, sections = RUNS[kind]
    stills = name == SD
    return {
        "name": kind,
        "kind": "image" if stills else "video",
        "out": str(out or data / "unused"),
        "data": {
            "root": str(data / "clips"),
            "latents": str(data / ("stills" if stills else "latents")),
            "fps": 12.5,
            "frames": 5,
            "size": 64 if stills else 32,
            "crop_size": 48,
            "captions": "metadata",
            "holdout_by": "split",
            "holdout": ["test"],
        },
        **sections,
        "network": {"pipeline": str(saved(factory, name)), **sections.get("network", {})},
        "optimiser": {"lr": 1e-3, "warmup": 1, "eps": 1e-3},
        "training": {
            "steps": 4,
            "batch": 2,
            "checkpoint_every": 2,
            "log_every": 1,
            "threads": 1,
            "ema": 0.5,
            **training,
        },
    }


def losses(out: Path) -> np.ndarray:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return np.array(
        [row["loss"] for row in rows] + [row["validation"] for row in rows if "validation" in row]
    )


def same(one: Path, other: Path) -> None:
    """Losses are equal to 1e-6 relative, and final weights to the rounding of their sums."""
    assert len(losses(one)) == len(losses(other)) > 3
    np.testing.assert_allclose(losses(one), losses(other), rtol=1e-6)
    first, second = (load_file(path / "final/model.safetensors") for path in (one, other))
    assert first.keys() == second.keys()
    weights = max(float((first[name].float() - second[name].float()).abs().max()) for name in first)
    print("weights", weights)
    assert weights < 1e-6


@attrs.frozen
class Runs:
    """Runs of one kind, in folders of their own."""

    make: Callable[..., dict[str, Any]]
    folder: Path

    def by_one(self, run: str, **training: Any) -> Path:
        """One process trains; returns the run's folder."""
        train(structure_recipe(self.make(self.folder / run, **training)))
        return self.folder / run

    def by_two(self, run: str, **training: Any) -> Path:
        """Two processes train, each with a part of every tensor."""
        path = write_recipe(
            self.folder / "recipe.toml", self.make(self.folder / run, sharding="full", **training)
        )
        codes, printed = run_ranks(2, lambda: main(["train", str(path)]))
        assert codes == [0, 0], printed
        assert json.loads((self.folder / run / "final/run.json").read_text())["sharded"]
        return self.folder / run


@pytest.fixture
def runs(data: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Runs]:
    def of(kind: str) -> Runs:
        return Runs(partial(document, data, tmp_path_factory, kind), tmp_path)

    return of


def test_a_whole_unet_takes_the_steps_of_one_process(runs) -> None:
    mine = runs("unet")
    one, two = mine.by_one("one"), mine.by_two("two", checkpointing=True)
    same(two, one)
    last = checkpoints(two)[-1]
    assert len([*last.glob("shard-*.safetensors")]) == 2
    ended, kept = load_file(two / "final/model.safetensors"), averages(last)
    assert all(torch.equal(ended[name], kept[name]) for name in ended | kept)


def test_one_process_goes_on_with_a_transformer_of_two(runs) -> None:
    mine = runs("transformer")
    one = mine.by_one("one")
    mine.by_two("two", steps=2)
    same(mine.by_one("two", sharding="full"), one)


def test_two_processes_go_on_with_the_adapters_of_one(runs, tmp_path: Path) -> None:
    """Adapters alone are in the checkpoints, and beside other weights they are refused."""
    mine = runs("lora")
    one = mine.by_one("one")
    mine.by_one("two", steps=2)
    two = mine.by_two("two")
    same(two, one)
    assert all("lora_" in name or name == "origin" for name in averages(checkpoints(two)[-1]))
    files = []
    for run in (one, two):
        files.append(tmp_path / f"{run.name}.safetensors")
        assert main(["export", "--lora", str(run), "-o", str(files[-1])]) == 0
    first, second = map(load_file, files)
    assert first.keys() == second.keys()
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-6
    assert any(bool(tensor.any()) for name, tensor in first.items() if "lora_B" in name)

    weights = Path(mine.make(tmp_path)["network"]["pipeline"], "transformer_2").glob("*.safetensors")
    (file,) = weights
    before = file.read_bytes()
    try:
        tensors = load_file(file)
        save_file({name: tensor + 1 for name, tensor in tensors.items()}, file)
        with pytest.raises(InputError, match="the adapters were trained beside other weights than those in"):
            mine.by_one("two", steps=5)
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize(
    ("name", "frames", "expected"),
    [
        (SD, 1, {"BasicTransformerBlock", "ResnetBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"}),
        ("WanPipeline", 5, {"WanTransformerBlock"}),
        (CLIPS, 3, {"CrossAttnDownBlock3D", "DownBlock3D", "UpBlock3D", "CrossAttnUpBlock3D"}),
    ],
)
def test_blocks_are_those_that_diffusers_declares(name, frames, expected, tmp_path_factory) -> None:
    """Or else those of lists: ModelScope's class declares none. Those within another one come first."""
    _, network = loaded(recipe_of(saved(tmp_path_factory, name), frames=frames))
    found = gathered(network)
    names = {type(each).__name__ for each in found}
    assert names & expected == names & {type(each).__name__ for each in network.modules()} & expected
    assert names <= expected or name == CLIPS
    for number, each in enumerate(found):
        assert not set(found[number + 1 :]) & set(each.modules()) - {each}
    held = {id(parameter) for each in found for parameter in each.parameters()}
    share = sum(each.numel() for each in network.parameters() if id(each) in held)
    assert share > 0.5 * sum(each.numel() for each in network.parameters())


def test_encoders_follow_the_network_and_leave_it_where_it_is(tmp_path_factory) -> None:
    """Within a call a sharded network's weights are gathered: moving them would undo that."""
    model, network = loaded(recipe_of(saved(tmp_path_factory, SD)))
    network._arrive(torch.device("meta"))
    assert next(model.denoiser.pipe.text_encoder.parameters()).device.type == "meta"
    assert next(network.parameters()).device.type == "cpu"
