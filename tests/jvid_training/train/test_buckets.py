"""Runs on data with buckets: the same on any number of processes and after any resume; sizes that a network does not take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from jvid.cli import main
from jvid.errors import InputError
from jvid_training.data.latents import encode
from jvid_training.data.streams import generator
from jvid_training.data.windows import HELD_OUT_STEP, Windows
from jvid_training.estimate.dry_run import dry_run
from jvid_training.estimate.page import lines_of, plain
from jvid_training.estimate.shapes import Denoising, Shapes, batches_of, forms_of
from jvid_training.estimate.step import cost_of
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.recipe_buckets import Bucket
from jvid_training.train.batches import Batches
from jvid_training.train.held_out import held_out_figures
from jvid_training.train.networks import accelerated, build_network
from jvid_training.train.sizes import check_sizes
from jvid_training.train.tasks import sources_of
from jvid_training.train.trainer import train
from tests.forks import run_ranks
from tests.training_tools import document, pooled, prepare, walker, write_clip, write_recipe

BUCKETS = [{"height": 24, "width": 32}, {"frames": 3}, {"height": 32, "width": 24, "frames": 6}]


def bucketed(folder: Path, kind: str = "video", **training: Any) -> dict[str, Any]:
    """A recipe whose clips are of all three buckets."""
    recipe = document(folder, kind, **training)
    del recipe["data"]["crop_size"]
    recipe["data"] |= {"crop": "centre", "buckets": BUCKETS, "latents": str(folder / "bucketed")}
    return recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of three forms, their latents, and a run of four steps."""
    made = tmp_path_factory.mktemp("bucketed")
    prepare(made)  # clips of 48x64, 12 to 15 frames at 12.5 fps, and the table of prompts
    for actor in ("ann", "eve"):
        write_clip(made / "clips/walk" / f"{actor}_short.avi", walker(8, 1.0, width=48))
        write_clip(made / "clips/walk" / f"{actor}_tall.avi", walker(20, 0.5, height=64, width=48))
    recipe = structure_recipe(bucketed(made))
    encode(recipe.data, recipe.codec, made / "clips", pooled)
    train(attrs.evolve(recipe, out=str(made / "whole")))
    return made


def losses(run: Path) -> list[float]:
    return [entry["loss"] for entry in json.loads((run / "final/run.json").read_text())["curve"]]


def test_a_run_on_two_processes_and_one_that_goes_on_are_the_same(folder: Path, tmp_path: Path) -> None:
    """Steps 1 and 2 by one process, 3 and 4 by two, and all four by two."""
    windows = Windows(folder / "bucketed")
    assert len({windows.bucket(0, step, 0) for step in range(4)}) > 1, "steps of several buckets"
    train(structure_recipe(bucketed(folder, steps=2) | {"out": str(tmp_path / "on")}))
    for out in ("on", "two"):
        path = write_recipe(tmp_path / f"{out}.toml", bucketed(folder) | {"out": str(tmp_path / out)})
        codes, printed = run_ranks(2, lambda path=path: main(["train", str(path)]))
        assert codes == [0, 0], printed
    expected = losses(folder / "whole")
    assert len(expected) == 4
    for out in ("on", "two"):
        assert losses(tmp_path / out) == pytest.approx(expected, rel=1e-5)
        found, whole = (
            load_file(run / "final/model.safetensors") for run in (tmp_path / out, folder / "whole")
        )
        assert all(torch.allclose(found[name], whole[name], atol=1e-4) for name in whole)


class Numbered:
    """An objective whose loss is a sample's place, and that refuses a batch of several shapes by stacking it."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def sample(self, windows: Windows, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        assert step == HELD_OUT_STEP
        window = windows.draw(generator(0, 0, place), windows.bucket(seed, step, place))
        return {"x": windows.latents(window), "place": torch.tensor(float(place))}

    def loss(self, network: Any, batch: dict[str, Tensor]) -> Tensor:
        self.seen.append(tuple(batch["x"].shape))
        return batch["place"]


@pytest.mark.parametrize(("batch", "world"), [(1, 1), (4, 1), (6, 3)])
def test_held_out_losses_are_over_all_buckets(folder: Path, batch: int, world: int) -> None:
    recipe = structure_recipe(bucketed(folder, batch=batch))
    sources, objective = sources_of(recipe), Numbered()
    held: list[dict[int, Any]] = []

    class Alone(Ranks):
        """One of several processes, whose neighbours ran before it."""

        def gather(self, value: Any) -> list[Any]:
            held.append(value)
            return held

    calls = []
    for rank in range(world):
        objective.seen.clear()
        batches = Batches(recipe.training, objective, sources, Alone(rank, world), torch.device("cpu"))
        found, bad = held_out_figures(torch.nn.Identity(), batches, "video")
        calls.append(len(objective.seen))
    assert (found["loss"], bad) == (2.5, []), "six samples, each once"
    assert len(set(calls)) == 1, "all processes evaluate as often"
    shares = Windows(folder / "bucketed", "holdout").shares
    assert min(shares) > 0
    many = [sources["holdout"].bucket(0, HELD_OUT_STEP, place) for place in range(300)]
    assert [many.count(n) / 300 for n in range(3)] == pytest.approx(shares, abs=0.02)


@pytest.mark.parametrize("kind", ["video", "image", "decoder"])
def test_a_network_that_does_not_take_a_bucket_is_refused_before_it_has_weights(
    folder: Path, kind: str, monkeypatch
) -> None:
    recipe = structure_recipe(bucketed(folder, kind))
    windows = Windows(folder / "bucketed")
    check_sizes(recipe, windows)

    def narrow(recipe: Recipe) -> torch.nn.Module:
        network = build(recipe)
        usual = network.forward

        def forward(x: Tensor, *others: Any) -> Any:
            if x.shape[-2:] != (4, 4):
                raise RuntimeError("sides of 4 alone")
            return usual(x, *others)

        network.forward = forward
        return network

    from jvid_training.train import sizes

    build = sizes.build_network
    monkeypatch.setattr(sizes, "build_network", narrow)
    with pytest.raises(InputError, match=r"does not take the bucket 24x32x8 .*sides of 4 alone"):
        check_sizes(recipe, windows)
    path = folder / f"{kind}.toml"
    write_recipe(path, bucketed(folder, kind) | {"out": str(folder / "refused")})
    assert main(["train", str(path)]) == 2
    assert not (folder / "refused/log.jsonl").exists()


@pytest.mark.parametrize("kind", ["image", "decoder"])
def test_other_kinds_train_on_buckets(folder: Path, tmp_path: Path, kind: str) -> None:
    recipe = structure_recipe(bucketed(folder, kind, steps=3) | {"out": str(tmp_path / "run")})
    train(
        attrs.evolve(
            recipe, training=attrs.evolve(recipe.training, samples_every=3 if kind == "decoder" else 0)
        )
    )
    assert len(losses(tmp_path / "run")) == 3
    if kind == "decoder":
        assert (tmp_path / "run/samples/00000003.png").is_file()


def test_the_estimate_has_the_largest_bucket(folder: Path, tmp_path: Path) -> None:
    """Memory is the largest bucket's, operations are the mean by the steps of each."""
    recipe = structure_recipe(bucketed(folder) | {"out": str(tmp_path / "none")})
    found_run = dry_run(recipe)
    assert found_run.problem is None
    found = found_run.estimate
    assert found.buckets == (Bucket(24, 32, 8), Bucket(32, 24, 6), Bucket(32, 32, 3))
    assert found.batch["x"] == (4, 4, 8, 3, 4)
    (line,) = [line for line in lines_of(found) if line.startswith("buckets")]
    assert "3, the largest of 24x32x8 (height x width x frames)" in line
    # Each bucket by itself: a recipe of one size and length.
    alone = []
    for height, width, frames in ((24, 32, 8), (32, 32, 3), (32, 24, 6)):
        one = bucketed(folder)
        one["data"]["buckets"] = [{"height": height, "width": width, "frames": frames}]
        one = structure_recipe(one)
        with torch.device("meta"):
            network = build_network(one)
        shapes = Shapes(4, 8, 3, 16)
        ((_, batch),) = batches_of(one, shapes, 4)
        parameters = dict(network.named_parameters())
        alone.append(cost_of(accelerated(network), parameters, Denoising(frames=False), batch))
    # A run's batch has rows of the table of prompts in the place of embeddings.
    assert alone[0].activations == max(cost.activations for cost in alone)
    assert found.cost.activations == pytest.approx(alone[0].activations, rel=0.01)
    shares = Windows(folder / "bucketed").shares
    expected = sum(share * (cost.forward + cost.backward) for share, cost in zip(shares, alone, strict=True))
    assert found.step == pytest.approx(expected, rel=1e-6)
    assert plain(found_run)["buckets"][0] == {"height": 24, "width": 32, "frames": 8}


def test_an_estimate_before_the_data_are_there(tmp_path: Path) -> None:
    recipe = bucketed(tmp_path)
    recipe["data"] |= {"buckets": [], "aspects": {"step": 8, "ratio": 1.7}}
    found = dry_run(structure_recipe(recipe))
    assert found.problem is not None
    assert "as many steps of each bucket" in found.estimate.assumed
    assert {bucket.size for bucket in found.estimate.buckets} == {(32, 32), (24, 40), (40, 24)}


def test_buckets_of_other_lengths_are_one_to_an_image_network(tmp_path: Path) -> None:
    recipe = bucketed(tmp_path, "image")
    recipe["data"]["buckets"] = [{"frames": 4}, {"frames": 8}, {"width": 40}]
    assert forms_of(structure_recipe(recipe), ()) == [
        (Bucket(32, 40, 1), pytest.approx(1 / 3)),
        (Bucket(32, 32, 1), pytest.approx(2 / 3)),
    ]


def test_an_autoencoder_refuses_buckets(tmp_path: Path) -> None:
    recipe = bucketed(tmp_path) | {"kind": "autoencoder", "network": {}}
    with pytest.raises(InputError, match=r"data.buckets of kind 'autoencoder'"):
        structure_recipe(recipe)
