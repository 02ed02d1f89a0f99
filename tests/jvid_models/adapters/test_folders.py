"""Folders as diffusers saves them: variants, shards, and weights that are not whole."""

from __future__ import annotations

import json

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from jvid.errors import InputError
from jvid_models.adapters.unet import from_pretrained, from_unet
from jvid_models.codecs import autoencoder
from jvid_models.networks.unets import image_unet

SCHEDULER = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return image_unet(channels=(8, 16), layers=1, text_width=8, groups=4, heads=2).eval()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return tmp_path


def answer(denoiser):
    x = torch.linspace(-1, 1, 4 * 16).view(1, 4, 1, 4, 4)
    return denoiser(x, torch.tensor(0.5), {"text": torch.ones(1, 3, 8)})


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("variant", [None, "fp16", "ema"])
def test_variants_and_shards_are_found(unet, folder, variant, shards):
    unet.save_pretrained(folder / "unet", variant=variant, max_shard_size="20KB" if shards else "10GB")
    names = [path.name for path in (folder / "unet").iterdir()]
    assert (len(names) > 3) is shards
    assert (WEIGHTS in names) is (variant is None and not shards)
    torch.testing.assert_close(answer(from_pretrained(folder)), answer(from_unet(unet, SCHEDULER)))
    if variant is not None:
        torch.testing.assert_close(
            answer(from_pretrained(folder, variant=variant)), answer(from_unet(unet, SCHEDULER))
        )
        with pytest.raises(InputError, match="cannot load a UNet"):
            from_pretrained(folder, variant="bf16")


def test_plain_weights_come_before_variants_and_several_variants_are_named(unet, folder):
    for variant in ("fp16", "ema"):
        unet.save_pretrained(folder / "unet", variant=variant)
    with pytest.raises(InputError, match=r"weights of ema, fp16: expected variant="):
        from_pretrained(folder)
    assert answer(from_pretrained(folder, variant="ema")).isfinite().all()
    unet.save_pretrained(folder / "unet")
    assert answer(from_pretrained(folder)).isfinite().all()


@pytest.mark.parametrize("change", ["lacks", "other shape"])
def test_weights_that_are_not_whole_are_refused_at_load_time(unet, folder, change):
    unet.save_pretrained(folder / "unet")
    file = folder / "unet" / WEIGHTS
    tensors = load_file(file)
    if change == "lacks":
        del tensors["conv_in.weight"]
    else:
        tensors["conv_in.weight"] = torch.zeros(3, 4, 3, 3)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"conv_in\.weight") as caught:
        from_pretrained(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_shard_is_named(unet, folder):
    unet.save_pretrained(folder / "unet", max_shard_size="20KB")
    shard = sorted((folder / "unet").glob("*-of-*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(InputError, match="cannot load a UNet") as caught:
        from_pretrained(folder)
    assert "\n" not in str(caught.value)


def test_a_transformers_folder_is_named_as_what_it_is(folder):
    (folder / "transformer").mkdir()
    (folder / "transformer" / "config.json").write_text('{"_class_name": "WanTransformer3DModel"}')
    for given in (folder, folder / "transformer"):
        with pytest.raises(
            InputError, match="holds a WanTransformer3DModel: expected one of UNet2DConditionModel"
        ):
            from_pretrained(given)


def test_an_autoencoder_of_a_variant_and_one_that_lacks_tensors(tmp_path):
    model = diffusers.AutoencoderKL(block_out_channels=(4,), norm_num_groups=4)
    model.save_pretrained(tmp_path / "vae", variant="fp16")
    assert autoencoder(tmp_path).factor == 1
    file = tmp_path / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    tensors = load_file(file)
    del tensors["decoder.conv_in.bias"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"decoder\.conv_in\.bias"):
        autoencoder(tmp_path)
    # One over time is known, and its tensors are others; what has no encoder is none.
    for kind, message in (
        ("AutoencoderKLWan", "cannot load an autoencoder from .*decoder.conv_in.weight expected shape"),
        ("UNet2DModel", "holds a UNet2DModel: expected one of AutoencoderKL"),
        ("AutoencoderKLNowhere", "holds a AutoencoderKLNowhere: expected one of AutoencoderKL"),
    ):
        (tmp_path / "vae" / "config.json").write_text(json.dumps({"_class_name": kind}))
        with pytest.raises(InputError, match=message) as caught:
            autoencoder(tmp_path)
        assert "\n" not in str(caught.value)
