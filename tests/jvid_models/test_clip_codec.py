"""Autoencoders over time as codecs: in the scale of their pipelines, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import jvid
from benchmarks.published.tiny.components import autoencoders, clip_autoencoders
from jvid.errors import InputError
from jvid_models.adapters.space_configs import space_of_autoencoder
from jvid_models.clip_codec import ClipCodec

MADE = {"wan": clip_autoencoders.wan, "ltx": clip_autoencoders.ltx, "cogvideox": clip_autoencoders.cogvideox}


def saved(name: str, folder: Path) -> tuple[Any, Any]:
    """The autoencoder with random weights, and the codec of its folder."""
    torch.manual_seed(0)
    model: Any = MADE[name]()()
    model.save_pretrained(folder)
    return model.eval(), jvid.load("codec", "autoencoder", folder=str(folder))


def pipelines_own(model: Any, frames: torch.Tensor) -> torch.Tensor:
    """The latents of a clip as the video-to-video pipelines of diffusers prepare them."""
    with torch.no_grad():
        raw = model.encode(frames).latent_dist.mode()
    kind, config = type(model).__name__, model.config
    if kind == "AutoencoderKLCogVideoX":  # pipeline_cogvideox_video2video.py
        return raw * config.scaling_factor
    if kind == "AutoencoderKLWan":  # pipeline_wan_video2video.py
        mean = torch.tensor(config.latents_mean).view(1, config.z_dim, 1, 1, 1)
        return (raw - mean) * (1.0 / torch.tensor(config.latents_std).view(1, config.z_dim, 1, 1, 1))
    from diffusers import LTXImageToVideoPipeline  # pipeline_ltx_image2video.py

    return LTXImageToVideoPipeline._normalize_latents(raw, model.latents_mean, model.latents_std)


@pytest.mark.parametrize("name", MADE)
def test_latents_are_those_of_the_pipelines_and_decode_to_what_they_decode(name: str, tmp_path: Path) -> None:
    model, codec = saved(name, tmp_path)
    rate, factor = codec.rate, codec.factor
    video = torch.rand(2, 3, 1 + rate, factor, 2 * factor) * 2 - 1
    z = codec.encode(video)
    assert z.shape == (2, codec.latent_channels, 2, 1, 2)
    torch.testing.assert_close(z, torch.cat([pipelines_own(model, clip[None]) for clip in video]))
    assert codec.space == space_of_autoencoder(model)
    with torch.no_grad():
        expected = model.decode(model.encode(video[:1]).latent_dist.mode()).sample.clamp(-1, 1)
    torch.testing.assert_close(codec.decode(z[:1]), expected, rtol=1e-3, atol=1e-4)
    # A frame is coded with those before it.
    assert not torch.allclose(codec.encode(video[:, :, rate:]), z[:, :, 1:])


def test_a_decoder_that_denoises_gets_the_time_of_the_pipelines() -> None:
    """LTX 0.9.1: ``decode_timestep`` is 0 in its pipelines, unless another is given."""
    torch.manual_seed(0)
    model: Any = clip_autoencoders.ltx(timestep_conditioning=True)().eval()
    z = torch.randn(2, 8, 2, 1, 1)
    with torch.no_grad():
        expected = torch.cat([model.decode(each[None], torch.zeros(1)).sample for each in z])
        other = model.decode(z[:1], torch.full((1,), 0.5)).sample
    assert not torch.allclose(other, expected[:1], atol=1e-4)
    torch.testing.assert_close(ClipCodec(model).decode(z), expected.clamp(-1, 1), rtol=1e-4, atol=1e-5)


def test_latents_of_half_precision_are_scaled_in_float32(tmp_path: Path) -> None:
    _, codec = saved("wan", tmp_path)
    z = torch.randn(1, 16, 2, 1, 1).bfloat16()
    assert torch.equal(codec.decode(z), codec.decode(z.float()))


def test_wrong_clips_are_one_line(tmp_path: Path) -> None:
    _, codec = saved("wan", tmp_path)
    for shape, message in (
        ((1, 3, 4, 8, 8), "frames 4: expected"),
        ((1, 3, 5, 8, 12), "sides in multiples of 8"),
        ((1, 5, 8, 8), r"expected \(b 3 f H W\)"),
    ):
        with pytest.raises(InputError, match=message):
            codec.encode(torch.zeros(shape))
    with pytest.raises(InputError, match=r"expected \(b 16 f h w\)"):
        codec.decode(torch.zeros(1, 4, 2, 1, 1))


def test_what_is_no_autoencoder_of_clips_is_refused(tmp_path: Path) -> None:
    clip_autoencoders.wan()().save_pretrained(tmp_path / "wan")
    with pytest.raises(InputError, match="leave mean, std and chunk out"):
        jvid.load("codec", "autoencoder", folder=str(tmp_path / "wan"), chunk=4)
    clip_autoencoders.temporal_decoder()().save_pretrained(tmp_path / "svd")
    with pytest.raises(InputError, match="AutoencoderKLTemporalDecoder encodes neither clips nor frames"):
        jvid.load("codec", "autoencoder", folder=str(tmp_path / "svd"))
    autoencoders.kl()().save_pretrained(tmp_path / "kl")
    jvid.load("codec", "autoencoder", folder=str(tmp_path / "kl"), chunk=4)
