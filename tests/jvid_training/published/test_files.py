"""The files of a published network: of any names that diffusers reads, and never none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from jvid.errors import InputError
from jvid_models.networks.unets import image_unet
from jvid_models.saved import weight_files
from jvid_training.published.files import check_taken, mark_of


def older_shards(folder: Path) -> list[Path]:
    """Name the shards of a variant as earlier versions of diffusers did."""
    index = folder / "diffusion_pytorch_model.safetensors.index.fp16.json"
    document = json.loads(index.read_text())
    names = {
        name: name.replace(".fp16", "").replace(".safetensors", ".fp16.safetensors")
        for name in set(document["weight_map"].values())
    }
    for old, new in names.items():
        (folder / old).rename(folder / new)
    document["weight_map"] = {key: names[name] for key, name in document["weight_map"].items()}
    index.write_text(json.dumps(document))
    return sorted(folder / name for name in names.values())


def test_every_shard_is_checked_and_marked(tmp_path: Path) -> None:
    network = image_unet(channels=(8, 16), layers=1, text_width=8, groups=4, heads=2)
    network.save_pretrained(tmp_path, variant="fp16", max_shard_size="20KB")
    files = older_shards(tmp_path)
    assert len(files) > 1
    assert weight_files(tmp_path) == files
    assert all("-of-" in path.name and path.name.endswith(".fp16.safetensors") for path in files)
    check_taken(network, tmp_path, ())
    mark = mark_of(network, tmp_path)
    tensors = load_file(files[-1])
    save_file({**tensors, "extra.weight": torch.zeros(3)}, files[-1])
    with pytest.raises(InputError, match=r"1 of \d+ tensors in .*\(extra.weight\)"):
        check_taken(network, tmp_path, ())
    assert not torch.equal(mark_of(network, tmp_path), mark)


def test_models_of_transformers_have_files_of_another_name(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 2)
    save_file({**network.state_dict(), "extra": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"1 of 3 tensors in .*\(extra\)"):
        check_taken(network, tmp_path, ())


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    network = image_unet(channels=(8, 16), layers=1, text_width=8, groups=4, heads=2)
    with pytest.raises(
        InputError, match=r"cannot read weights in .*: expected diffusion_pytorch_model.safetensors"
    ):
        check_taken(network, tmp_path, ())
    with pytest.raises(InputError, match="cannot read weights in"):
        mark_of(network, tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(InputError, match="expected the index of shards; fetch the folder again"):
        check_taken(network, tmp_path, ())
