"""Folders of pipelines as they are published: half-precision variants, shards, and weights that lack tensors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.published import tiny
from jvid.errors import InputError
from jvid_models.adapters.pipelines import from_folder

NAME = "StableDiffusionPipeline"


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.build(NAME).pipe


def weights(pipe: Any) -> dict[str, torch.Tensor]:
    parts = {name: getattr(pipe, name) for name in ("unet", "vae", "text_encoder")}
    return {
        f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()
    }


@pytest.mark.parametrize(
    "options",
    [{"variant": "fp16"}, {"max_shard_size": "100KB"}, {"variant": "fp16", "max_shard_size": "100KB"}],
)
def test_variants_and_shards_are_found(pipe: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    pipe.save_pretrained(tmp_path, **options)
    loaded = weights(from_folder(tmp_path).pipe)
    expected = weights(pipe)
    assert loaded.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(loaded[name], value, rtol=0, atol=0)


def test_a_missing_tensor_is_an_error_at_load_time(pipe: Any, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path)
    file = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    kept = load_file(file)
    dropped = next(iter(kept))
    save_file({name: value for name, value in kept.items() if name != dropped}, file)
    with pytest.raises(InputError, match=f"cannot load the unet .* lack {dropped}") as error:
        from_folder(tmp_path)
    assert "\n" not in str(error.value)


def test_a_missing_tensor_of_a_text_encoder_is_one_too(pipe: Any, tmp_path: Path) -> None:
    """transformers draws it at random: no two loads of the folder would be the same."""
    pipe.save_pretrained(tmp_path)
    file = tmp_path / "text_encoder" / "model.safetensors"
    kept = load_file(file)
    dropped = next(name for name in kept if "q_proj.weight" in name)
    save_file({name: value for name, value in kept.items() if name != dropped}, file, {"format": "pt"})
    with pytest.raises(
        InputError, match=r"the text_encoder in .* lacks 1 tensors, such as .*q_proj\.weight: fetch"
    ) as error:
        from_folder(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["tokenizer", "vae"])
def test_a_missing_part_is_named(pipe: Any, tmp_path: Path, part: str) -> None:
    """diffusers makes some of them of their defaults."""
    pipe.save_pretrained(tmp_path)
    shutil.rmtree(tmp_path / part)
    with pytest.raises(
        InputError, match=f"lacks {part}/, a .* by its model_index.json: fetch the folder again"
    ):
        from_folder(tmp_path)


def test_each_network_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' base class would load Wan's transformer, which is an optional part, beside the one that it is given."""
    made = tiny.build("WanPipeline")
    made.pipe.save_pretrained(tmp_path)
    loaded: list[str] = []
    own = diffusers.WanTransformer3DModel.from_pretrained.__func__

    def watched(kind: Any, *args: Any, **kwargs: Any) -> Any:
        loaded.append(kind.__name__)
        return own(kind, *args, **kwargs)

    monkeypatch.setattr(diffusers.WanTransformer3DModel, "from_pretrained", classmethod(watched))
    pipe = from_folder(tmp_path).pipe
    assert loaded == ["WanTransformer3DModel"]
    assert type(pipe) is diffusers.WanPipeline
