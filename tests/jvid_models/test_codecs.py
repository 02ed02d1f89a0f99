"""Frames to latents and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

import jvid
from jvid.errors import InputError, MissingDependencyError
from jvid_models.codecs import ImageCodec, autoencoder, taesd
from jvid_models.weights import read_weights

MEAN, STD = (0.1, -0.2, 0.0, 0.3), (0.5, 0.6, 0.7, 0.8)


def small_kl() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=16,
    )


def test_latents_are_scaled_then_normalised():
    kl = small_kl()
    assert kl.config.scaling_factor == 0.18215
    codec, video = ImageCodec(kl, MEAN, STD), torch.rand(2, 3, 3, 16, 16) * 2 - 1
    latents = codec.encode(video)
    assert latents.shape == (2, 4, 3, 8, 8)
    with torch.no_grad():
        raw = kl.encode(video[1, :, 2:3].movedim(1, 0)).latent_dist.mean[0] * 0.18215
        image = kl.decode(raw[None] / 0.18215).sample[0].clamp(-1, 1)
    by_hand = (raw - torch.tensor(MEAN).view(4, 1, 1)) / torch.tensor(STD).view(4, 1, 1)
    torch.testing.assert_close(latents[1, :, 2], by_hand, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(codec.decode(latents)[1, :, 2], image, atol=1e-4, rtol=1e-4)


def test_the_chunk_changes_nothing():
    torch.manual_seed(0)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1),
    )  # fmt: skip
    video = torch.rand(2, 3, 5, 16, 24) * 2 - 1
    whole = ImageCodec(tiny, chunk=100)
    latents = whole.encode(video)
    for chunk in (1, 3, 10):
        codec = ImageCodec(tiny, chunk=chunk)
        torch.testing.assert_close(codec.encode(video), latents, atol=1e-5, rtol=0)
        torch.testing.assert_close(codec.decode(latents), whole.decode(latents), atol=1e-5, rtol=0)


def test_wrong_input_is_reported():
    codec = ImageCodec(small_kl())
    with pytest.raises(InputError, match=r"expected video \(b 3 f H W\)"):
        codec.encode(torch.zeros(1, 3, 16, 16))
    with pytest.raises(InputError, match="multiples of 2"):
        codec.encode(torch.zeros(1, 3, 1, 15, 16))
    with pytest.raises(InputError, match="latents"):
        codec.decode(torch.zeros(1, 3, 1, 8, 8))
    with pytest.raises(InputError, match="mean has 2 values"):
        ImageCodec(small_kl(), mean=(0, 0))
    with pytest.raises(InputError, match="positive"):
        ImageCodec(small_kl(), std=(1, 1, 0, 1))
    with pytest.raises(InputError, match="chunk=0"):
        ImageCodec(small_kl(), chunk=0)


def test_an_autoencoder_loads_from_a_folder(tmp_path):
    kl = small_kl()
    kl.save_pretrained(tmp_path / "vae")
    codec, video = autoencoder(tmp_path), torch.rand(1, 3, 2, 16, 16)
    torch.testing.assert_close(codec.encode(video), ImageCodec(kl).encode(video))
    weights = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot load"):
        autoencoder(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"config\.json"):
        autoencoder(tmp_path / "nowhere")


def test_the_older_name_of_the_codec_is_the_same_and_warns(tmp_path):
    small_kl().save_pretrained(tmp_path)
    with pytest.warns(DeprecationWarning, match="'autoencoder-kl' is named 'autoencoder'"):
        older = jvid.load("codec", "autoencoder-kl", folder=str(tmp_path))
    x = torch.rand(1, 3, 2, 16, 16)
    assert torch.equal(older.encode(x), jvid.load("codec", "autoencoder", folder=str(tmp_path)).encode(x))


def test_damaged_weights_are_one_line(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    with pytest.raises(InputError, match="cannot read weights") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(MissingDependencyError, match="no weights file"):
        read_weights(tmp_path / "absent.safetensors")


@pytest.mark.shared
def test_taesd_gives_a_real_frame_back(shared):
    import av
    from PIL import Image

    clips = sorted((shared / "data" / "weizmann").rglob("*.avi"))
    if not clips or not (shared / "weights" / "taesd_encoder.safetensors").is_file():
        pytest.skip("no Weizmann clips or no TAESD weights in the shared folder")
    frames = []
    with av.open(str(clips[0])) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % 10 == 0 and len(frames) < 2:
                image = Image.fromarray(frame.to_ndarray(format="rgb24")).crop((26, 8, 154, 136))
                frames.append(np.asarray(image.resize((64, 64), Image.Resampling.LANCZOS)))
    video = torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    codec = taesd(shared / "weights", MEAN, STD)
    latents = codec.encode(video)
    assert latents.shape == (1, 4, 2, 8, 8)
    error = (codec.decode(latents).clamp(-1, 1) - video).square().mean()
    psnr = 10 * torch.log10(4 / error)
    assert psnr > 26  # 28 dB was measured; a wrong scaling or clamp gives below 20
