"""Autoencoders of one's own: the objective's equation, a resumed run, the export as a codec, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file

import jvid
from jvid.cli import main
from jvid.errors import InputError
from jvid_models.networks.autoencoder import Autoencoder
from jvid_training.autoencoder_folder import export_autoencoder
from jvid_training.data.pictures import Pictures
from jvid_training.data.windows import HELD_OUT_STEP
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.autoencoding import Autoencode
from jvid_training.train.trainer import train
from tests.training_tools import SHUFFLING, few_held_out_samples, walker, write_clip, write_recipe


def document(folder: Path, network: dict[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    tiny = {
        "latent_channels": 5,
        "encoder_block_out_channels": [8, 8],
        "decoder_block_out_channels": [8, 8],
        "num_encoder_blocks": [0, 1],
        "num_decoder_blocks": [1, 0],
    }
    return {
        "name": "tiny",
        "kind": "autoencoder",
        "out": str(folder / "run"),
        "data": {
            "root": str(folder / "pictures"),
            "latents": str(folder / "latents"),
            "size": 16,
            "holdout": ["eve", "test"],
        },
        "network": tiny if network is None else network,
        "optimiser": {"lr": 3e-3, "warmup": 2},
        "training": {"steps": 4, "batch": 4, "checkpoint_every": 2, "log_every": 1, "threads": 1, "ema": 0.5}
        | training,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stills and a clip; a folder and an actor are held out."""
    root = tmp_path_factory.mktemp("autoencoders")
    for place, (name, shade) in enumerate(
        (("train/a", 20), ("train/b", 90), ("train/eve_c", 140), ("test/d", 160))
    ):
        path = root / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(walker(8, 1.0, height=48, width=48, shade=shade)[place][:16, :16]).save(path)
    write_clip(root / "pictures/train/ann_walk.avi", walker(3, 2.0, shade=40))
    return root


@pytest.fixture(scope="module")
def trained(folder: Path) -> Recipe:
    with few_held_out_samples():
        recipe = structure_recipe(document(folder, patch=8, latent_noise=0.2))
        train(recipe)
    return recipe


def test_pictures_are_frames_of_images_and_clips(folder: Path) -> None:
    data = structure_recipe(document(folder)).data
    train_split, held_out = Pictures(data), Pictures(data, "holdout")
    assert [path.name for path in train_split.files] == ["a.png", "ann_walk.avi", "b.png"]
    assert [path.name for path in held_out.files] == ["d.png", "eve_c.png"]
    drawn = [train_split.draw(np.random.default_rng(seed)) for seed in range(12)]
    assert {tuple(each.shape) for each in drawn} == {(3, 16, 16)}
    with Image.open(folder / "pictures/train/a.png") as image:
        a = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 127.5 - 1
    assert any(torch.equal(each, a) for each in drawn), "a frame of the right size keeps its values"
    mirrored = Pictures(attrs.evolve(data, flip=True))
    assert any(torch.equal(mirrored.draw(np.random.default_rng(seed)), a.flip(-1)) for seed in range(20))


def test_folders_are_held_out_at_any_depth(tmp_path: Path) -> None:
    """As in a data set that has stills and clips, each with its split."""
    for name in (
        "stills/train/a.png",
        "stills/held-out/b.png",
        "held-out/c.png",
        "stills/train/held-out.png",
        "d.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(tmp_path / name)
    recipe = document(tmp_path)
    recipe["data"] |= {"root": str(tmp_path), "holdout": ["held-out", "d.png"]}
    data = structure_recipe(recipe).data
    assert [path.name for path in Pictures(data).files] == ["a.png", "held-out.png"]
    assert [path.name for path in Pictures(data, "holdout").files] == ["d.png", "c.png", "b.png"]


def test_the_loss_is_the_equation_of_the_module(folder: Path) -> None:
    recipe = structure_recipe(document(folder, latent_noise=0.3, prior=0.7, patch=8))
    torch.manual_seed(0)
    task, network = Autoencode.of(recipe), Autoencoder(**recipe.network)
    samples = [task.sample(Pictures(recipe.data), 0, 5, place, 3) for place in range(3)]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    assert (batch["x"].shape, batch["noise"].shape) == ((3, 3, 8, 8), (3, 5, 4, 4))
    with torch.no_grad():
        model = network.autoencoder
        z = model.encode(batch["x"]).latents
        e = model.decode(z + batch["noise"]).sample - batch["x"]
        found, clean = task.loss(network, batch), model.decode(z).sample
    mean, variance = z.double().numpy().mean((0, 2, 3)), z.double().numpy().var((0, 2, 3))
    kl = (mean**2 + variance - 1 - np.log(variance + 1e-6)).mean() / 2
    expected = e.abs().mean((1, 2, 3)) + e.square().mean((1, 2, 3)) + 0.7 * kl
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-5)
    bytes_ = ((clean.clamp(-1, 1) + 1) * 127.5).double().numpy(), ((batch["x"] + 1) * 127.5).double().numpy()
    psnr = 20 * np.log10(255) - 10 * np.log10(np.square(bytes_[0] - bytes_[1]).mean((1, 2, 3)))
    with torch.no_grad():
        np.testing.assert_allclose(task.figures(network, batch)["psnr"].numpy(), psnr, rtol=1e-5)
    whole = task.sample(Pictures(recipe.data), 0, HELD_OUT_STEP, 0, 1)
    assert whole["x"].shape == (3, 16, 16), "held-out frames are whole"


def test_noise_has_its_deviation(folder: Path) -> None:
    """u uniform in [0, 1]: the variance of s u n is s^2 / 3."""
    recipe = structure_recipe(document(folder, latent_noise=0.5))
    task, pictures = Autoencode.of(recipe), Pictures(recipe.data)
    noise = torch.stack([task.sample(pictures, 0, step, 0, 1)["noise"] for step in range(200)])
    per_sample = noise.square().mean((1, 2, 3))
    assert abs(float(per_sample.mean()) - 0.25 / 3) < 5 * 0.25 * (4 / 45 / 200) ** 0.5


def test_a_resumed_autoencoder_equals_an_unbroken_one(folder: Path, trained: Recipe) -> None:
    half = attrs.evolve(trained, out=str(folder / "half"), training=attrs.evolve(trained.training, steps=2))
    train(half)
    train(attrs.evolve(half, training=trained.training))
    one, two = (load_file(folder / name / "final/model.safetensors") for name in ("run", "half"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    curve = json.loads((folder / "half/final/run.json").read_text())["curve"]
    assert [entry["step"] for entry in curve if "psnr" in entry] == [2, 4]
    log = [json.loads(line) for line in (folder / "run/log.jsonl").read_text().splitlines()]
    assert log[-1]["psnr"] == curve[-1]["psnr"]


def test_the_export_is_a_codec_of_the_averages(folder: Path, trained: Recipe, capsys) -> None:
    assert main(["export", "--autoencoder", str(folder / "run"), "-o", str(folder / "own")]) == 0
    assert "AutoencoderTiny of 5 channels and factor 2" in capsys.readouterr().out
    codec = jvid.load("codec", "autoencoder", folder=str(folder / "own"))
    assert (codec.latent_channels, codec.factor, codec.scaling) == (5, 2, 1.0)
    network = Autoencoder(**trained.network)
    network.load_state_dict(load_file(folder / "run/final/model.safetensors"))
    frames = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected, z = network(frames, torch.zeros(2, 5, 8, 8))
    video = frames.movedim(1, 0)[None]
    torch.testing.assert_close(codec.encode(video)[0].movedim(1, 0), z, rtol=0, atol=1e-5)
    decoded = codec.decode(codec.encode(video))[0].movedim(1, 0)
    torch.testing.assert_close(decoded, expected.clamp(-1, 1), rtol=0, atol=1e-5)
    direct: Any = AutoencoderTiny.from_pretrained(folder / "own")
    torch.testing.assert_close(direct.encode(frames).latents, z, rtol=0, atol=1e-5)
    (folder / "mine").mkdir()
    (folder / "mine" / "note").touch()
    with pytest.raises(InputError, match="holds 'note'"):
        export_autoencoder(folder / "run", folder / "mine")


def test_an_autoencoder_learns_and_its_latents_have_unit_scale(folder: Path, tmp_path: Path) -> None:
    recipe = structure_recipe(document(folder, steps=120, prior=1.0, checkpoint_every=120))
    curve: list[float] = []
    train(attrs.evolve(recipe, out=str(tmp_path / "run")), lambda progress: curve.append(progress.loss))
    assert np.mean(curve[-10:]) < 0.5 * np.mean(curve[:10])
    codec = export_autoencoder(tmp_path / "run", tmp_path / "own")
    pictures = Pictures(recipe.data)
    frames = torch.stack([pictures.draw(np.random.default_rng(seed)) for seed in range(16)], 1)[None]
    deviation = codec.encode(frames).std((0, 2, 3, 4))
    assert float(deviation.min()) > 0.3
    assert float(deviation.max()) < 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"network": {"kind": "AutoencoderRAE"}},
            "network.kind: got 'AutoencoderRAE', expected one of AutoencoderKL, AutoencoderTiny, AutoencoderDC",
        ),
        ({"network": {"widths": [8]}}, "network: AutoencoderTiny does not take these options: .*widths"),
        (
            {"network": {**SHUFFLING, "latent_channels": 6}},
            "network: AutoencoderDC does not run with these options: RuntimeError: ",
        ),
        (
            {"data": {"size": 18}, "network": {}},
            "data.size: got 18, expected a multiple of 8, the autoencoder's factor",
        ),
        ({"training": {"patch": 7}}, "training.patch: got 7, expected a multiple of 2"),
        ({"training": {"patch": 32}}, "training.patch: got 32, expected at most data.size, 16"),
        ({"training": {"checkpointing": True}}, "training.checkpointing: only UNets .* not the autoencoder"),
        ({"data": {"root": "/nowhere"}}, "no folder of images or clips at /nowhere"),
        (
            {"data": {"holdout": ["zoe"]}},
            r"empty; data\.holdout is zoe, expected some of the folders \(test, train\)",
        ),
    ],
)
def test_bad_input_is_one_line(folder: Path, tmp_path: Path, capsys, change, message) -> None:
    wrong = document(folder)
    wrong["out"] = str(tmp_path / "run")
    for section, values in change.items():
        wrong[section] = values if section == "network" else wrong[section] | values
    assert main(["train", str(write_recipe(tmp_path / "wrong.toml", wrong))]) == 2
    error = capsys.readouterr().err
    assert re.search(message, " ".join(error.split())), error
