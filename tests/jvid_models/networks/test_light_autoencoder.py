"""The autoencoder without diffusers: the same names, settings and bits as diffusers' own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jvid_models.codecs import ImageCodec
from jvid_models.ensembles.bundled import sprites_64
from jvid_models.networks.autoencoder import Autoencoder
from jvid_models.networks.light_autoencoder import AutoencoderDC, is_light, light_autoencoder

KIND = {"kind": "AutoencoderDC", "latent_channels": 4, "scaling_factor": 0.5}


def described(layers: list[int], **options: Any) -> dict[str, Any]:
    """What an ensemble's document has of an autoencoder of three levels."""
    attention: list[list[int]] = [[], [], []]
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (
            ("block_out_channels", [8, 8, 16]),
            ("layers_per_block", layers),
            ("qkv_multiscales", attention),
        )
    }
    return Autoencoder(**{**KIND, **sides, **options}).config


@pytest.mark.parametrize("layers", [[0, 1, 2], [1, 2, 1]])
def test_it_has_the_weights_settings_and_bits_of_diffusers_own(layers: list[int]) -> None:
    document = described(layers)
    torch.manual_seed(0)
    stock = Autoencoder(**document).eval().requires_grad_(False).autoencoder
    for weight in stock.parameters():
        weight.normal_(0.0, 0.2)
    assert is_light(document)
    light = light_autoencoder(document)
    light.load_state_dict(stock.state_dict(), strict=True)
    ours, theirs = (ImageCodec(each, [0.1] * 4, [0.7] * 4) for each in (light, stock))
    assert ours.space == theirs.space
    video = torch.rand(1, 3, 2, 16, 24) * 2 - 1
    latents = theirs.encode(video)
    assert torch.equal(ours.encode(video), latents)
    assert torch.equal(ours.decode(latents), theirs.decode(latents))
    assert ours.decode(latents).std() > 0.01


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "AutoencoderTiny"},
        {"decoder_block_types": "EfficientViTBlock"},
        {"decoder_act_fns": "relu"},
        {"an_option_of_a_later_version": 1},
    ],
)
def test_others_are_diffusers_own(change: dict[str, Any]) -> None:
    assert not is_light({**described([0, 1, 1]), **change})


def test_a_document_that_lacks_a_setting_is_diffusers_to_complete() -> None:
    document = described([0, 1, 1])
    del document["scaling_factor"]
    assert not is_light(document)


def test_the_bundled_codec_is_light() -> None:
    codec: Any = sprites_64().codec
    assert isinstance(codec.autoencoder, AutoencoderDC)
