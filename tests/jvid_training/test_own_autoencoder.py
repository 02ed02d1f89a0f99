"""From an autoencoder of one's own to an ensemble: encoding, experts on stills and on clips, export, sampling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

import jvid
from jvid.cli import main
from jvid.errors import InputError
from jvid_models.adapters.scheduler_configs import schedule_of
from jvid_models.ensembles.folder import EnsembleFolder
from jvid_models.networks.autoencoder import Autoencoder
from jvid_training.data.manifest import load_manifest
from jvid_training.export import Part, export_runs
from jvid_training.recipe import structure_recipe
from jvid_training.train.trainer import train
from tests.caption_tools import captioned, make_captioned, make_stills
from tests.training_tools import SHUFFLING, write_recipe

FACTOR = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_own(tmp_path_factory.mktemp("own"))


def make_own(folder: Path) -> Path:
    """A random codec of 6 channels, two encodings that share statistics, and a run of one step on each."""
    torch.manual_seed(0)
    own = Autoencoder(
        "AutoencoderKL", latent_channels=6, block_out_channels=[4, 4, 8], layers_per_block=1, norm_num_groups=2,
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3,
    )  # fmt: skip
    own.autoencoder.save_pretrained(folder / "codec")
    make_captioned(folder / "clips")
    make_stills(folder / "stills")
    for kind in ("image", "video"):
        assert main(["encode", str(write_recipe(folder / f"{kind}.toml", document(folder, kind)))]) == 0
        train(structure_recipe(document(folder, kind)))
    return folder


def document(folder: Path, kind: str) -> dict[str, Any]:
    recipe = captioned(folder, kind, steps=1, batch=2)
    recipe |= {"name": f"own-{kind}", "out": str(folder / kind)}
    recipe["codec"] = {"name": "autoencoder", "options": {"folder": str(folder / "codec")}}
    recipe["network"] |= {"latent_channels": 6}
    recipe["text"]["options"]["vocabulary"] = str(folder / "clips/metadata.jsonl")
    if kind == "image":
        recipe["data"] |= {
            "root": str(folder / "stills"),
            "latents": str(folder / "stills.latents"),
            "captions": "text",
            "frames": 1,
            "crop_size": 32,
            "holdout_by": "",
            "holdout": [],
            "statistics": "",
        }
    else:
        recipe["data"] |= {"statistics": str(folder / "stills.latents")}
    return recipe


def experts(folder: Path) -> dict[str, Part]:
    return {"clips": Part(folder / "video"), "frames": Part(folder / "image")}


def test_an_ensemble_holds_the_autoencoder_that_encoded_its_latents(folder: Path) -> None:
    stills, clips = (load_manifest(folder / name) for name in ("stills.latents", "latents"))
    assert (stills.mean, stills.std) == (clips.mean, clips.std)
    assert (len(stills.mean), stills.frames, clips.frames) == (6, 1, 8)
    made = export_runs(experts(folder), Part(folder / "codec"), folder / "made")
    assert (made.shape, made.frame_experts) == ((6, 8, 8, 8), ("frames",))
    document_ = json.loads((folder / "made/ensemble.json").read_text())
    assert (document_["format"], document_["decoder"]["kind"]) == (3, "AutoencoderKL")

    codec: Any = made.codec
    original = jvid.load(
        "codec", "autoencoder", folder=str(folder / "codec"), mean=list(clips.mean), std=list(clips.std)
    )
    assert made.space == codec.space == original.space
    assert made.space.factor == FACTOR
    video = torch.rand(1, 3, 2, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    z = original.encode(video)
    torch.testing.assert_close(codec.encode(video), z, rtol=0, atol=0.02)  # its weights are fp16
    torch.testing.assert_close(codec.decode(z), original.decode(z), rtol=0, atol=0.02)

    strategy = jvid.Strategy("boundary:experts=frames+clips,at=0.5", steps=2)
    composition = jvid.Composition(strategy, made)
    latents = composition.sampler()(made.shape, seeds=[1], cond=composition.condition(["a red block walks"]))
    assert codec.decode(latents).shape == (1, 3, 8, 32, 32)


def test_another_decoder_than_that_of_the_latents_is_refused(folder: Path, tmp_path: Path) -> None:
    other = Autoencoder.load(folder / "codec")
    with torch.no_grad():
        next(other.autoencoder.encoder.parameters()).mul_(1.01)
    other.autoencoder.save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match=r"the latents of the recipes were encoded by .*codec"):
        export_runs(experts(folder), Part(tmp_path / "other"), tmp_path / "made")
    export_runs(experts(folder), Part(folder / "codec"), tmp_path / "made")
    with pytest.raises(InputError, match="decoder='taesd': the ensemble's latents are those of its own"):
        EnsembleFolder(tmp_path / "made", decoder="taesd")


def test_a_decoder_that_was_trained_on_may_decode(folder: Path, tmp_path: Path) -> None:
    on = Autoencoder.load(folder / "codec")
    with torch.no_grad():
        on.autoencoder.decoder.conv_out.bias.add_(0.25)
    on.autoencoder.save_pretrained(tmp_path / "on")
    made = export_runs(experts(folder), Part(tmp_path / "on"), tmp_path / "made")
    before = export_runs(experts(folder), Part(folder / "codec"), tmp_path / "before")
    z = 0.1 * torch.randn(before.shape, generator=torch.Generator().manual_seed(1))[None]
    found, plain = (each.codec.decode(z) for each in (made, before))
    inside = (plain > -0.99) & (plain < 0.74)  # frames are clipped
    assert inside.float().mean() > 0.9
    torch.testing.assert_close(found[inside], plain[inside] + 0.25, rtol=0, atol=0.01)


def test_frames_that_the_factor_does_not_divide_are_refused_before_encoding(
    folder: Path, tmp_path: Path, capsys
) -> None:
    wrong = document(folder, "image")
    wrong["data"] |= {"size": 30, "latents": str(tmp_path / "latents")}
    assert main(["encode", str(write_recipe(tmp_path / "wrong.toml", wrong))]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "data.size: got 30, expected a multiple of 4, by which AutoencoderKL divides" in error
    assert not (tmp_path / "latents").exists()


@pytest.mark.parametrize("kind", ["AutoencoderTiny", "AutoencoderKL", "AutoencoderDC"])
def test_the_configuration_makes_the_same_network_again(kind: str) -> None:
    options: dict[str, Any] = {"latent_channels": 6}
    if kind == "AutoencoderTiny":
        options |= {"encoder_block_out_channels": [4, 4], "decoder_block_out_channels": [4, 4],
                    "num_encoder_blocks": [0, 1], "num_decoder_blocks": [1, 0]}  # fmt: skip
    if kind == "AutoencoderDC":
        options |= {key: value for key, value in SHUFFLING.items() if key != "kind"}
    with torch.device("meta"):
        one = Autoencoder(kind, **options)
        two = Autoencoder(**json.loads(json.dumps(one.config)))
    assert {name: each.shape for name, each in one.state_dict().items()} == {
        name: each.shape for name, each in two.state_dict().items()
    }
    assert (two.kind, two.channels, two.factor) == (kind, 6, one.factor)
    assert one.config == two.config


def test_an_autoencoder_by_pixel_shuffling_is_a_codec_of_diffusers_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = Autoencoder(latent_channels=4, **SHUFFLING)
    own.autoencoder.save_pretrained(tmp_path)
    codec: Any = jvid.load("codec", "autoencoder", folder=str(tmp_path))
    assert (codec.factor, codec.latent_channels, codec.space.factor) == (FACTOR, 4, FACTOR)
    frames = torch.rand(2, 3, 16, 24) * 2 - 1
    with torch.no_grad():
        z = own.autoencoder.encode(frames).latent
        decoded = own.autoencoder.decode(z).sample.clamp(-1, 1)
    video = frames.movedim(1, 0)[None]
    torch.testing.assert_close(codec.encode(video)[0].movedim(1, 0), z, rtol=0, atol=1e-5)
    torch.testing.assert_close(codec.decode(codec.encode(video))[0].movedim(1, 0), decoded, rtol=0, atol=1e-5)


def test_each_part_is_loaded_by_plain_diffusers(folder: Path, tmp_path: Path) -> None:
    """In diffusers' layout; the whole is the same ensemble, and so is its next export."""
    command = [f"--expert={name}={part.folder}" for name, part in experts(folder).items()]
    command += ["--decoder", str(folder / "codec"), "-o"]
    assert main(["export", *command, str(tmp_path / "files")]) == 0
    assert main(["export", *command, str(tmp_path / "parts"), "--layout", "diffusers"]) == 0
    files, parts = (jvid.load("ensemble", str(tmp_path / name)) for name in ("files", "parts"))
    names = {"clips": diffusers.UNet3DConditionModel, "frames": diffusers.UNet2DConditionModel}
    for name, kind in names.items():
        unet = kind.from_pretrained(tmp_path / "parts", subfolder=name)
        network: Any = EnsembleFolder(tmp_path / "files").module(name)
        x = torch.randn(1, 6, *((2,) if name == "clips" else ()), 8, 8)
        text = torch.randn(1, 4, 16)
        with torch.no_grad():
            expected = network(x, torch.tensor([3]), text).sample
            torch.testing.assert_close(
                unet(x, torch.tensor([3]), text).sample, expected, rtol=1e-4, atol=1e-4
            )
    vae = diffusers.AutoencoderKL.from_pretrained(tmp_path / "parts", subfolder="vae")
    z = torch.randn(1, *files.shape)
    torch.testing.assert_close(parts.codec.decode(z), files.codec.decode(z))
    assert vae.config.latent_channels == 6
    scheduler = diffusers.DDIMScheduler.from_pretrained(tmp_path / "parts", subfolder="scheduler")
    assert schedule_of(scheduler) == (files.schedule, "eps")
    assert (parts.experts, parts.space, parts.strategy) == (files.experts, files.space, files.strategy)
    again = export_runs(
        {"clips": Part(folder / "video"), "frames": Part(tmp_path / "parts")},
        Part(tmp_path / "parts"),
        tmp_path / "again",
    )
    assert again.experts == ("clips", "frames")
