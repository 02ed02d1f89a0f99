"""Sheets of samples while a run goes on: by the moving average, alone and mixed, and never a reason to stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import jvid
from jvid.ensemble import Ensemble, Member
from jvid.errors import InputError, JvidWarning
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import make
from jvid.pipeline.record import Clip
from jvid.strategy.simple import simple
from jvid_models.adapters.unet import from_unet
from jvid_models.networks.table1 import SCHEDULER
from jvid_models.text import EmbeddingTable
from jvid_training.export import Part, export_runs, read_run
from jvid_training.recipe import Recipe, Samples
from jvid_training.train import previews, trainer
from jvid_training.train.setup import accelerator_of
from jvid_training.train.trainer import train
from tests.training_tools import prepare, tiny_runs


class Enlarged:
    """A codec whose frames are the first three channels of the latents, eight times as large."""

    def encode(self, video: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        return latents[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2)


@pytest.fixture(autouse=True)
def codec(monkeypatch: pytest.MonkeyPatch) -> None:
    load = jvid.load

    def loaded(kind: str, name: str, **options: Any) -> Any:
        return Enlarged() if kind == "codec" else load(kind, name, **options)

    monkeypatch.setattr(previews.jvid, "load", loaded)


def shown(recipe: Recipe, **samples: Any) -> Recipe:
    training = attrs.evolve(recipe.training, samples_every=2)
    return attrs.evolve(recipe, training=training, samples=Samples(steps=2, **samples))


def test_a_sheet_is_of_the_average_and_changes_nothing_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clips are those that the checkpoint of the same step makes; the weights are those of a run without sheets."""
    plain = prepare(tmp_path, "image", ema=0.5)
    recipe = attrs.evolve(shown(plain, prompts=("A person walk",), seed=5), out=str(tmp_path / "shown"))
    seen: list[Any] = []
    rows = previews.sample_rows
    monkeypatch.setattr(previews, "sample_rows", lambda *args: seen.append(rows(*args)) or seen[-1])
    train(plain)
    train(recipe)
    assert sorted(path.name for path in (tmp_path / "shown/samples").iterdir()) == [
        "00000002.png",
        "00000004.png",
    ]
    one, other = (load_file(tmp_path / each / "final/model.safetensors") for each in ("run", "shown"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    logged = [
        [
            {name: value for name, value in json.loads(line).items() if name in ("step", "loss")}
            for line in lines
        ]
        for lines in ((tmp_path / each / "log.jsonl").read_text().splitlines() for each in ("run", "shown"))
    ]
    assert logged[0] == logged[1]

    run = read_run(tmp_path / "shown", "image")
    member = Member(
        from_unet(run.network, SCHEDULER),
        "frames",
        EmbeddingTable.load(tmp_path / "prompts.safetensors"),
        ("guided:scale=2.0",),
    )
    ensemble = Ensemble({"image": member}, (4, 8, 4, 4))
    strategy = attrs.evolve(simple(("image",)), steps=2)
    latents = make(ensemble, strategy, [Clip("A person walk", 5)], Batching(1)).latents
    statistics = json.loads((tmp_path / "latents/manifest.json").read_text())
    mean, std = (torch.tensor(statistics[name])[:, None, None, None] for name in ("mean", "std"))
    expected = Enlarged().decode(latents * std + mean)[0].clamp(-1, 1).permute(1, 2, 3, 0).detach().numpy()
    np.testing.assert_allclose(seen[-1]["image"][0] / 127.5 - 1, expected, atol=1.5 / 127.5)
    picture = np.asarray(Image.open(tmp_path / "shown/samples/00000004.png"))
    assert picture.shape[1] >= 8 * 32, "eight frames side by side"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "ensemble"
    runs = tiny_runs(tmp_path_factory)
    export_runs(
        {name: Part(runs / name) for name in ("video", "image")},
        Part(runs / "decoder", kinds=("decoder",)),
        folder,
        runs / "strategy.json",
    )
    return folder


def test_an_expert_is_shown_among_those_of_an_ensemble(
    tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shown(prepare(tmp_path, "video", steps=2), ensemble=str(exported))
    seen: list[Any] = []
    rows = previews.sample_rows
    monkeypatch.setattr(
        previews, "sample_rows", lambda *args: seen.append((args, rows(*args))) or seen[-1][1]
    )
    train(recipe)
    ((ensemble, prompts, strategies, *_), clips) = seen[0]
    assert ensemble.experts == ("video", "image")
    assert list(clips) == ["video alone", "mixture"]
    assert prompts == ("A human stand", "A person stand", "Someone stand", "A human walk")
    assert strategies["mixture"].selector == ensemble.strategy.selector
    assert clips["mixture"].shape == (4, 8, 32, 32, 3)
    assert not np.array_equal(clips["mixture"], clips["video alone"])

    def refused(match: str, **samples: Any) -> None:
        out = tmp_path / "refused"
        with pytest.raises(InputError, match=match) as caught:
            train(attrs.evolve(shown(recipe, **samples), out=str(out)))
        assert "\n" not in str(caught.value)
        assert not list(out.glob("checkpoint-*"))

    refused(
        r"samples.expert: got 'image', expected one of .* that denoise clips, video",
        ensemble=str(exported),
        expert="image",
    )
    refused("samples.ensemble: no ensemble in .*, expected a folder that", ensemble=str(tmp_path))
    refused("samples.strategy without samples.ensemble", strategy="strategy.json")
    refused("A dog", prompts=("A dog flies",))
    other = tmp_path / "other"
    other.mkdir()
    for file in exported.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    document = json.loads((other / "ensemble.json").read_text())
    document["latents"]["mean"][0] += 1
    (other / "ensemble.json").write_text(json.dumps(document))
    refused(r"samples.ensemble: .* is of other latents than .* \(mean: ", ensemble=str(other))


def test_decoders_show_what_they_decode(tmp_path: Path) -> None:
    recipe = shown(prepare(tmp_path, "decoder", steps=2, batch=2))
    train(recipe)
    picture = np.asarray(Image.open(tmp_path / "run/samples/00000002.png"))
    assert picture.shape[1] >= 8 * 32
    assert picture.shape[0] >= 4 * 2 * 32, "four clips, each with its frames and those that are decoded"


def test_a_sheet_that_fails_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> Any:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(previews, "sample_rows", fail)
    recipe = shown(prepare(tmp_path, "image", steps=2))
    with pytest.warns(
        JvidWarning, match="no samples at step 2, the run goes on: RuntimeError: out of memory"
    ):
        assert train(recipe).name == "final"
    again = attrs.evolve(recipe, out=str(tmp_path / "again"))
    run = trainer._Run(again, lambda progress: None, accelerator_of(again))
    assert run.bare.training
    run.preview(run.previews)
    assert run.bare.training
