"""An autoencoder's folder that is written again after it has encoded: its latents are refused, wherever they are used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from jvid.cli import main
from jvid.errors import InputError
from jvid_models.networks.autoencoder import Autoencoder
from jvid_training.data import latents
from jvid_training.data.encoder_weights import digest_in, encoder_digest
from jvid_training.data.manifest import load_manifest
from jvid_training.export import Part, export_runs
from jvid_training.recipe import CodecChoice, structure_recipe
from jvid_training.train.trainer import train
from tests.jvid_training.test_own_autoencoder import document, experts, make_own
from tests.training_tools import write_recipe

OTHER = "latents of other weights than the codec 'autoencoder' has now: their digest is "


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_own(tmp_path_factory.mktemp("changed"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Iterator[Path]:
    """The runs, their encodings and the codec, which is put back after a test."""
    shutil.copytree(made / "codec", tmp_path / "before")
    yield made
    shutil.rmtree(made / "codec")
    shutil.copytree(tmp_path / "before", made / "codec")


def change(codec: Path, part: Callable[[Any], Any] = lambda network: network.encoder) -> None:
    """Write the autoencoder again, with other weights in one of its parts."""
    own = Autoencoder.load(codec)
    with torch.no_grad():
        next(part(own.autoencoder).parameters()).mul_(1.01)
    own.autoencoder.save_pretrained(codec)


def digest_of(*folders: Path) -> str:
    return encoder_digest(CodecChoice("any", {str(i): str(each) for i, each in enumerate(folders)}))


def test_the_digest_is_of_what_encodes(folder: Path, tmp_path: Path) -> None:
    codec = folder / "codec"
    first = digest_of(codec)
    assert len(first) == 64
    change(codec, lambda network: network.decoder)
    assert digest_of(codec) == first
    change(codec, lambda network: network.post_quant_conv)
    assert digest_of(codec) == first
    change(codec, lambda network: network.quant_conv)
    second = digest_of(codec)
    change(codec)
    assert len({first, second, digest_of(codec)}) == 3
    shutil.copytree(codec, tmp_path / "pipeline/vae")
    weights = load_file(codec / "diffusion_pytorch_model.safetensors")
    save_file({f"autoencoder.{name}": each for name, each in weights.items()}, tmp_path / "own.safetensors")
    assert digest_of(tmp_path / "pipeline") == digest_of(codec), "of a pipeline it is its autoencoder's"
    named = digest_of(tmp_path / "own.safetensors")
    save_file({"decoder.x": torch.ones(1)}, tmp_path / "decoder.safetensors")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/x.safetensors").write_bytes(b"no weights")
    assert named
    assert {digest_of(), digest_of(tmp_path / "nowhere"), digest_of(tmp_path)} <= {"", named}
    for none in (tmp_path / "decoder.safetensors", tmp_path / "damaged", tmp_path / "nowhere"):
        assert digest_of(none) == ""
    assert encoder_digest(CodecChoice("taesd", {"chunk": 8, "folder": "\0", "none": None})) == ""


def test_the_digest_is_of_the_files_that_the_codec_loads(folder: Path, tmp_path: Path) -> None:
    """Not of what lies beside them; and neither the layout of the files nor a separate decoder counts."""
    codec, name = tmp_path / "vae", "diffusion_pytorch_model"
    shutil.copytree(folder / "codec", codec)
    first = digest_of(codec)
    weights = load_file(codec / f"{name}.safetensors")
    save_file({"x": torch.ones(1)}, tmp_path / "pytorch_lora_weights.safetensors")
    (codec / "._hidden.safetensors").write_bytes(b"none")
    (codec / "folder.safetensors").mkdir()
    (codec / "nowhere.safetensors").symlink_to("nowhere")
    assert digest_of(codec) == digest_of(tmp_path) == first
    (codec / f"{name}.safetensors").unlink()
    halves = sorted(weights)[::2], sorted(weights)[1::2]
    index = {}
    for number, names in enumerate(halves, 1):
        file = f"{name}-{number:05}-of-00002.safetensors"
        save_file({each: weights[each] for each in names}, codec / file)
        index |= dict.fromkeys(names, file)
    (codec / f"{name}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    assert digest_of(codec) == first
    apart = tmp_path / "apart"
    apart.mkdir()
    save_file({"0.weight": torch.ones(4)}, apart / "taesd_encoder.safetensors")
    alone = digest_of(apart)
    save_file({"1.weight": torch.ones(4)}, apart / "taesd_decoder.safetensors")
    assert digest_of(apart) == alone != ""


def test_weights_that_change_within_an_encoding_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = document(folder, "image")
    wanted["data"]["latents"] = str(tmp_path / "latents")
    recipe = write_recipe(tmp_path / "image.toml", wanted)
    finish = latents._finish

    def changed(*given: Any) -> None:
        change(folder / "codec")
        finish(*given)

    monkeypatch.setattr(latents, "_finish", changed)
    assert main(["encode", str(recipe)]) == 2
    assert "were written again while they encoded" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "latents/manifest.json").exists()


@pytest.mark.parametrize("damaged", [None, 5, ["a"], {}])
def test_a_digest_of_another_form_is_none(damaged: Any) -> None:
    assert digest_in({"encoder": damaged}) == digest_in({}) == digest_in([]) == ""
    assert digest_in({"encoder": "12"}) == "12"


def test_latents_of_former_weights_are_refused(folder: Path, tmp_path: Path, capsys) -> None:
    """By encoding, training and its dry run, and by an export; another decoder changes nothing."""
    recipe = write_recipe(tmp_path / "image.toml", document(folder, "image"))
    assert load_manifest(folder / "stills.latents").encoder == digest_of(folder / "codec")
    change(folder / "codec", lambda network: network.decoder)
    assert main(["encode", str(recipe)]) == 0
    change(folder / "codec")
    capsys.readouterr()
    for command in (["encode"], ["train"], ["train", "--dry-run"]):
        assert main([*command, str(recipe)]) == 2, command
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert OTHER in line
        assert line.endswith(
            f"delete {folder / 'stills.latents'} and encode again, or put the former weights back"
        )
    with pytest.raises(InputError, match=f"{OTHER}.*put the former weights back, or encode and train again"):
        export_runs(experts(folder), Part(folder / "codec"), tmp_path / "made")


def test_encodings_of_different_weights_do_not_share_statistics(folder: Path, tmp_path: Path, capsys) -> None:
    """And an unfinished encoding is not finished by others."""
    wanted = document(folder, "video")
    wanted["data"]["latents"] = str(tmp_path / "latents")
    recipe = write_recipe(tmp_path / "video.toml", wanted)
    change(folder / "codec")
    assert main(["encode", str(recipe)]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert (
        f"data.statistics: {folder / 'stills.latents'} holds latents of other weights than the codec's"
        in error
    )
    wanted["data"]["statistics"] = ""
    recipe = write_recipe(tmp_path / "video.toml", wanted)
    assert main(["encode", str(recipe)]) == 0
    (tmp_path / "latents/manifest.json").unlink()
    change(folder / "codec")
    assert main(["encode", str(recipe)]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "holds an unfinished encoding by other weights than the codec 'autoencoder' has now" in error
    key = json.loads((tmp_path / "latents/key.json").read_text())
    assert len(key.pop("encoder")) == 64
    (tmp_path / "latents/key.json").write_text(json.dumps(key))
    assert main(["encode", str(recipe)]) == 0
    assert load_manifest(tmp_path / "latents").encoder == "", "an older version began it"


def test_a_run_does_not_go_on_with_latents_of_other_weights(folder: Path, tmp_path: Path) -> None:
    """Nor is it exported with them; what an earlier version wrote has no digest, and is taken."""
    wanted = document(folder, "image")
    wanted["data"]["latents"], wanted["out"] = str(tmp_path / "latents"), str(tmp_path / "run")
    write_recipe(tmp_path / "image.toml", wanted)
    assert main(["encode", str(tmp_path / "image.toml")]) == 0
    train(structure_recipe(wanted))
    shutil.rmtree(tmp_path / "latents")
    change(folder / "codec")
    assert main(["encode", str(tmp_path / "image.toml")]) == 0
    wanted["training"]["steps"] = 2
    with pytest.raises(InputError, match="was trained on latents of other weights of the autoencoder"):
        train(structure_recipe(wanted))
    with pytest.raises(InputError, match="the frames run was trained on latents of other weights than"):
        export_runs({"frames": Part(tmp_path / "run")}, Part(folder / "codec"), tmp_path / "made")
    manifest = tmp_path / "latents/manifest.json"
    values = json.loads(manifest.read_text())
    del values["encoder"]
    manifest.write_text(json.dumps(values))
    train(structure_recipe(wanted))
