"""The paper's recipes: every value of its section 4.1, and the way from clips to a mixture, scaled down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextConfig, CLIPTextModel

import jvid
from jvid.cli import main
from jvid.errors import InputError
from jvid_training.data.manifest import load_manifest
from jvid_training.data.prompts import sentences_of
from jvid_training.data.sources import find_files
from jvid_training.recipe import load_recipe
from jvid_training.train.networks import build_network
from tests.training_tools import write_clip

RECIPES = Path(__file__).parents[2] / "recipes"
SIZES = (64, 128, 256)
EVERY = {
    "data.fps": 10.0, "data.frames": 16, "data.crop": "centre", "data.crop_size": 240, "data.flip": False,
    "data.prefixes": ("A human", "A person", "Someone"), "data.phrases": {}, "data.captions": "class",
    "codec.name": "autoencoder", "text.name": "clip", "schedule.name": "scaled-linear", "schedule.options": {},
    "network.channels": [256, 512, 768, 1024], "network.layers": 2, "network.head_width": 64, "network.text_width": 768,
    "optimiser.warmup": 500, "optimiser.decay": 0.0, "optimiser.clip": 0.0,
    "training.batch": 1024, "training.drop": 0.3, "training.offset": 0.1, "training.ema": 0.0,
}  # fmt: skip
"""What section 4.1 and Table 1 state of all models; clipping and averages of weights, which they do not have, are off."""
EACH: dict[tuple[int, str], dict[str, Any]] = {
    (64, "lidm"): {"steps": 100_000, "lr": 1e-4, "eps": 1e-8, "accumulate": 1, "init": None, "devices": 8, "each": 128},
    (128, "lidm"): {"steps": 100_000, "lr": 1e-4, "eps": 1e-8, "accumulate": 1, "init": None, "devices": 8, "each": 128},
    (256, "lidm"): {"steps": 100_000, "lr": 1e-4, "eps": 1e-8, "accumulate": 1, "init": None, "devices": 8, "each": 128},
    (64, "lvdm"): {"steps": 100_000, "lr": 1e-4, "eps": 1e-8, "accumulate": 1, "init": None, "devices": 64, "each": 16},
    (128, "lvdm"): {"steps": 50_000, "lr": 1e-4, "eps": 1e-8, "accumulate": 1, "init": 64, "devices": 64, "each": 16},
    (256, "lvdm"): {"steps": 50_000, "lr": 2e-4, "eps": 1e-4, "accumulate": 2, "init": 128, "devices": 64, "each": 8},
}  # fmt: skip
"""What it states of each: training from scratch or on from another resolution, GPUs, and samples on each at a time."""


def recipe_path(size: int, kind: str) -> Path:
    return RECIPES / f"ucf101-{size}-{kind}.toml"


@pytest.mark.parametrize(("size", "kind"), EACH, ids=str)
def test_a_recipe_has_the_papers_values(size: int, kind: str) -> None:
    recipe, stated = load_recipe(recipe_path(size, kind)), EACH[size, kind]
    for path, value in EVERY.items():
        section, key = path.split(".")
        found = getattr(recipe, section)
        assert (found[key] if isinstance(found, dict) else getattr(found, key)) == value, path
    assert recipe.kind == {"lidm": "image", "lvdm": "video"}[kind]
    assert (recipe.data.size, recipe.network["sample_size"]) == (size, size // 8)
    assert (recipe.training.steps, recipe.training.accumulate) == (stated["steps"], stated["accumulate"])
    assert (recipe.optimiser.lr, recipe.optimiser.eps) == (stated["lr"], stated["eps"])
    assert stated["devices"] * stated["each"] * recipe.training.accumulate == recipe.training.batch
    before = stated["init"] and load_recipe(recipe_path(stated["init"], kind))
    assert recipe.training.init == (before and f"{before.out}/final/model.safetensors")
    assert {recipe.codec.options["folder"], f"{recipe.text.options['path']}/vae"} == {
        recipe.codec.options["folder"]
    }


def test_recipes_of_a_resolution_share_their_latents_and_a_network_fits_all() -> None:
    for size in SIZES:
        image, video = (load_recipe(recipe_path(size, kind)) for kind in ("lidm", "lvdm"))
        assert (image.data, image.codec, image.text) == (video.data, video.codec, video.text)
    decoder = load_recipe(RECIPES / "ucf101-video-decoder.toml")
    assert decoder.data == load_recipe(recipe_path(64, "lvdm")).data
    networks = [{**load_recipe(recipe_path(size, "lvdm")).network, "sample_size": 8} for size in SIZES]
    assert networks[0] == networks[1] == networks[2], "weights of one resolution start the next"
    with torch.device("meta"):
        image = build_network(load_recipe(recipe_path(64, "lidm")))
    assert 5e8 < sum(parameter.numel() for parameter in image.parameters()) < 6e8


# --------------------------------------------------------------------------- scaled down, from clips to a mixture
CLASSES = ("ApplyEyeMakeup", "YoYo")
SCALED = (
    "data.frames=4", "network.channels=[8,16]", "network.layers=1", "network.groups=8", "network.head_width=8",
    "network.text_width=16", "training.steps=1", "training.batch=2", "optimiser.warmup=1", "training.precision=no",
    "training.threads=1",
)  # fmt: skip


def make_ucf101(shared: Path) -> None:
    """Clips named as UCF-101's, and lists of two groups in the form of the official ones."""
    random = np.random.default_rng(0)
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for number, action in enumerate(CLASSES, 1):
        for group, split in (("g01", "test"), ("g08", "train")):
            name = f"{action}/v_{action}_{group}_c01.avi"
            frames = np.broadcast_to(random.integers(0, 255, (1, 240, 320, 3), np.uint8), (11, 240, 320, 3))
            write_clip(shared / "data/UCF-101" / name, frames)
            lines[split].append(f"{name} {number}" if split == "train" else name)
    (shared / "data/ucfTrainTestlist").mkdir()
    for split, names in lines.items():
        (shared / f"data/ucfTrainTestlist/{split}list01.txt").write_text("\r\n".join(names) + "\r\n")


def make_stable_diffusion(folder: Path) -> AutoencoderKL:
    """A tiny random autoencoder and text encoder in the layout of Stable Diffusion 1.5."""
    torch.manual_seed(0)
    autoencoder = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, norm_num_groups=4,
    )  # fmt: skip
    autoencoder.save_pretrained(folder / "vae")
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer/vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "tokenizer/merges.txt").write_text("#version: 0.2\n")
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=77, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
    )  # fmt: skip
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    return autoencoder.half().float().eval()


def run(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def test_each_recipe_goes_from_clips_to_a_sampled_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("JVID_SHARED", str(tmp_path / "shared"))
    make_ucf101(tmp_path / "shared")
    weights = Path("../shared/weights/stable-diffusion-v1-5")
    (tmp_path / "shared/weights/stable-diffusion-v1-5").mkdir(parents=True)
    autoencoder = make_stable_diffusion(weights)
    scaled = [word for setting in SCALED for word in ("--set", setting)]
    for size in SIZES:
        for kind in ("lidm", "lvdm"):
            run("encode", recipe_path(size, kind), *scaled)
            run("train", recipe_path(size, kind), *scaled)
        recipe = load_recipe(recipe_path(size, "lvdm"))
        manifest = load_manifest(Path(recipe.data.latents))
        assert [(s.clip[-11:], s.actor) for s in manifest.sequences] == [
            ("g01_c01.avi", "test"), ("g08_c01.avi", "train"), ("g01_c01.avi", "test"), ("g08_c01.avi", "train"),
        ]  # fmt: skip
        assert (manifest.mean, manifest.std) == ((0.0,) * 4, (1.0,) * 4)
        assert sentences_of([manifest], recipe.data)[1] == "A human apply eye makeup"
        experts = "--expert", f"video={recipe.out}", "--expert", f"image=runs/ucf101-{size}/lidm"
        run("export", *experts, "--decoder", weights / "vae", "-o", f"jvid-{size}")
        run("sample", "a person yo yo", "--ensemble", f"jvid-{size}", "--steps", 2, "-o", f"{size}.png")
        made = jvid.load("ensemble", f"jvid-{size}")
        assert made.latents() == (4, 4, size // 8, size // 8)
        latents = torch.randn(1, 4, 2, 2, 2, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():  # as Stable Diffusion decodes; an ensemble's weights are of half precision
            expected = autoencoder.decode(latents[:, :, 0] / 0.18215).sample.clamp(-1, 1)
        torch.testing.assert_close(made.codec.decode(latents)[:, :, 0], expected, atol=1e-4, rtol=0)
    smaller = ("--set", "network.channels=[8,8,8,8]", "--set", "network.blocks=1")
    run("train", RECIPES / "ucf101-video-decoder.toml", *(
        word for setting in (SCALED[0], *SCALED[6:]) for word in ("--set", setting)
    ), *smaller)  # fmt: skip
    run("export", "--expert", "video=runs/ucf101-64/lvdm", "--expert", "image=runs/ucf101-64/lidm",
        "--decoder", "runs/ucf101-64/decoder", "-o", "jvid-video")  # fmt: skip
    run("sample", "someone apply eye makeup", "--ensemble", "jvid-video", "--steps", 2, "-o", "video.png")


def test_lists_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JVID_SHARED", str(tmp_path / "shared"))
    make_ucf101(tmp_path / "shared")
    data, root = load_recipe(recipe_path(64, "lidm")).data, tmp_path / "shared/data/UCF-101"
    lists = tmp_path / "shared/data/ucfTrainTestlist"
    found = find_files(root, data)
    assert [(file.actor, file.attributes["actor"]) for file in found] == [
        ("test", "g01"),
        ("train", "g08"),
    ] * 2
    train, test = (lists / f"{split}list01.txt" for split in ("train", "test"))
    whole = train.read_text()
    train.write_text(whole.splitlines()[0])
    assert len(find_files(root, data)) == 3, "a clip that no list names is left out"
    for text, message in (
        (
            "YoYo/v_YoYo_g09_c01.avi 2",
            r"trainlist01.txt, line 1: no clip YoYo/v_YoYo_g09_c01.avi in data/UCF-101",
        ),
        (
            "YoYo/v_YoYo_g01_c01.avi 2",
            r"testlist01.txt, line 2: YoYo/v_YoYo_g01_c01.avi is in data.lists.train too",
        ),
        ("\n", r"trainlist01.txt lists no clip"),
    ):
        train.write_text(text)
        with pytest.raises(InputError, match=message):
            find_files(root, data)
    train.write_text(whole)
    copy = root / "YoYo/v_YoYo_g01_c02.avi"
    copy.write_bytes((root / "YoYo/v_YoYo_g01_c01.avi").read_bytes())
    train.write_text(whole + "YoYo/v_YoYo_g01_c02.avi 2")
    with pytest.raises(
        InputError, match=r"g01_c02.avi is in train and YoYo/v_YoYo_g01_c01.avi in test, both of 'g01'"
    ):
        find_files(root, data)
    train.unlink()
    with pytest.raises(InputError, match="expected a list of clips"):
        find_files(root, data)
    assert test.exists()
