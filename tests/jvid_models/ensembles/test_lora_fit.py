"""A LoRA file whose tensors do not all fit is refused, with their number and some of their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.published import tiny
from jvid.errors import InputError
from jvid_models.adapters.pipelines.lora import load_loras
from tests.jvid_models.ensembles.test_lora import IMAGE, lora_of

WAN = "WanPipeline"


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    pipe = tiny.build(IMAGE).pipe
    return lora_of(pipe.unet, 0, pipe.text_encoder)


def of_wan(pipe: Any) -> dict[str, Tensor]:
    width = pipe.transformer.blocks[0].attn1.to_q.in_features
    return {
        f"transformer.blocks.{block}.attn1.to_q.{half}.weight": torch.ones(shape)
        for block in range(len(pipe.transformer.blocks))
        for half, shape in (("lora_A", (2, width)), ("lora_B", (width, 2)))
    }


def loaded(name: str, weights: dict[str, Tensor], path: Path, **options: Any) -> Any:
    pipe = tiny.build(name).pipe
    save_file({key: value.contiguous() for key, value in weights.items()}, path)
    load_loras(pipe, path, **options)
    return pipe


def refused(name: str, weights: dict[str, Tensor], path: Path, line: str) -> None:
    with pytest.raises(InputError, match=line) as caught:
        loaded(name, weights, path)
    assert "\n" not in str(caught.value)


def renamed(weights: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return {key.replace(old, new): value for key, value in weights.items()}


def test_what_fits_is_loaded(weights: dict[str, Tensor], tmp_path: Path) -> None:
    pipe = loaded(IMAGE, weights, tmp_path / "mid_block.safetensors")  # the adapter has the name of a module
    assert pipe.get_list_adapters() == {"unet": ["mid_block"], "text_encoder": ["mid_block"]}
    unet = {key: value for key, value in weights.items() if key.startswith("unet.")}
    older = renamed(renamed(unet, ".lora_A.", ".lora.down."), ".lora_B.", ".lora.up.")
    assert loaded(IMAGE, older, tmp_path / "older.safetensors").get_list_adapters() == {"unet": ["older"]}
    flat = renamed(weights, "text_encoder.", "text_encoder.text_model.")
    assert set(loaded(IMAGE, flat, tmp_path / "flat.safetensors").get_list_adapters()) == {
        "unet",
        "text_encoder",
    }
    wan = of_wan(tiny.build(WAN).pipe)
    original = renamed(renamed(wan, "transformer.", "diffusion_model."), ".attn1.to_q.", ".self_attn.q.")
    assert loaded(WAN, original, tmp_path / "wan.safetensors").get_list_adapters() == {"transformer": ["wan"]}


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_tensors_of_another_model_are_named(weights: dict[str, Tensor], part: str, tmp_path: Path) -> None:
    own = [key for key in weights if key.startswith(f"{part}.")]
    more = {
        f"{part}.other_{n}.to_q.{half}.weight": torch.ones(2, 2)
        for n in range(3)
        for half in ("lora_A", "lora_B")
    }
    assert own
    refused(
        IMAGE,
        {**weights, **more},
        tmp_path / "half.safetensors",
        rf"half\.safetensors': 6 of {len(weights) + 6} tensors fit no layer of this StableDiffusionPipeline "
        rf"\({part}\.other_0\.to_q\.lora_A\.weight, .* and 3 more\): expected one of its model",
    )


def test_tensors_of_a_part_that_is_not_there_are_named(weights: dict[str, Tensor], tmp_path: Path) -> None:
    more = {
        f"text_encoder_2.layers.0.q_proj.{half}.weight": torch.ones(2, 2) for half in ("lora_A", "lora_B")
    }
    refused(
        IMAGE,
        {**weights, **more},
        tmp_path / "xl.safetensors",
        "2 of .* fit no layer .*text_encoder_2.layers",
    )


def test_layers_of_a_deeper_transformer_are_named(tmp_path: Path) -> None:
    wan = of_wan(tiny.build(WAN).pipe)
    deeper = wan | {key.replace("blocks.", "blocks.1"): value.clone() for key, value in wan.items()}
    refused(WAN, deeper, tmp_path / "deep.safetensors", rf"{len(wan)} of {2 * len(wan)} tensors fit no layer")


@pytest.mark.parametrize("half", ["lora_A", "lora_B"])
def test_a_tensor_without_the_other_of_its_pair_is_named(
    half: str, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    gone = next(key for key in weights if half in key and "to_q" in key)
    left = {key: value for key, value in weights.items() if key != gone}
    refused(
        IMAGE,
        left,
        tmp_path / "cut.safetensors",
        rf"1 of {len(left)} tensors lack the other one of their pair",
    )


def test_scales_that_are_left_out_are_named(tmp_path: Path) -> None:
    wan = of_wan(tiny.build(WAN).pipe)
    dora = wan | {"transformer.blocks.0.attn1.to_q.dora_scale": torch.ones(1)}
    refused(WAN, dora, tmp_path / "dora.safetensors", "holds 1 scales of DoRA .*to_q.dora_scale.*leaves out")


@pytest.mark.parametrize("stem", ["half", "lora", "keys", "a"])
def test_a_file_may_have_any_name(stem: str, tmp_path: Path) -> None:
    wan = of_wan(tiny.build(WAN).pipe)
    pipe = loaded(WAN, wan, tmp_path / f"{stem}.safetensors")
    assert pipe.get_list_adapters() == {"transformer": [f"{stem}_2"]}
    found = {key: value for key, value in pipe.transformer.state_dict().items() if "lora_" in key}
    assert len(found) == len(wan)
    assert all(bool((value == 1).all()) for value in found.values())


def test_a_bias_has_no_other_half(tmp_path: Path) -> None:
    """peft's ``lora_bias``, and ``diff_b`` of Wan's files, which diffusers makes a bias of lora_B of."""
    pipe = tiny.build(WAN).pipe
    width = pipe.transformer.blocks[0].attn1.to_q.out_features
    biased = of_wan(pipe) | {
        f"transformer.blocks.{block}.attn1.to_q.lora_B.bias": torch.ones(width)
        for block in range(len(pipe.transformer.blocks))
    }
    assert loaded(WAN, biased, tmp_path / "biased.safetensors").get_list_adapters() == {
        "transformer": ["biased"]
    }
