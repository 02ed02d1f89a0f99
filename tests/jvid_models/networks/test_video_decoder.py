"""The video decoder."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid_models.networks.video_decoder import VideoDecoder, _OverTime
from jvid_models.video_codec import VideoDecoderCodec


def trained_by_chance(**options) -> VideoDecoder:
    """A small decoder whose temporal layers are no longer zero."""
    torch.manual_seed(0)
    decoder = VideoDecoder(channels=(32, 16), blocks=1, **options).eval()
    with torch.no_grad():
        for weight in decoder.parameters():
            if not weight.any():
                weight.normal_(0, 0.1)
    return decoder


def test_sizes():
    decoder = VideoDecoder().eval()
    assert 1.4e6 < sum(weight.numel() for weight in decoder.parameters()) < 2.5e6
    with torch.no_grad():
        assert decoder(torch.randn(1, 4, 2, 8, 8)).shape == (1, 3, 2, 64, 64)
        assert decoder(torch.randn(2, 4, 1, 3, 5)).shape == (2, 3, 1, 24, 40)
    assert decoder.factor == 8
    again = VideoDecoder(**decoder.config)
    again.load_state_dict(decoder.state_dict())


def test_training_starts_framewise_and_ends_otherwise():
    latents = torch.randn(2, 4, 5, 4, 4)
    with torch.no_grad():
        fresh = VideoDecoder(channels=(32, 16)).eval()
        alone = fresh(latents[:, :, 3:4])
        torch.testing.assert_close(fresh(latents)[:, :, 3:4], alone, atol=1e-5, rtol=0)
        other = trained_by_chance()
        assert (other(latents)[:, :, 3:4] - other(latents[:, :, 3:4])).abs().max() > 1e-3


def test_temporal_layers_learn():
    decoder = VideoDecoder(channels=(32, 16), blocks=1)
    decoder(torch.randn(1, 4, 4, 4, 4)).square().mean().backward()
    for name, weight in decoder.named_parameters():
        if name in ("attention.out.weight", "stages.0.0.temporal.4.weight", "stages.1.0.temporal.4.weight"):
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name


def test_the_codec_decodes_clip_by_clip():
    decoder = trained_by_chance()
    latents = torch.randn(3, 4, 4, 4, 4)
    whole = VideoDecoderCodec(decoder, chunk=3).decode(latents)
    assert whole.shape == (3, 3, 4, 8, 8)
    assert not whole.requires_grad
    torch.testing.assert_close(VideoDecoderCodec(decoder, chunk=1).decode(latents), whole, atol=1e-5, rtol=0)


@settings(max_examples=15)
@given(
    b=st.integers(1, 2), f=st.integers(1, 9), h=st.integers(1, 3), w=st.integers(1, 3),
    chunk=st.sampled_from([1, 2, 5, 16]), budget=st.sampled_from([0, 10_000, 1 << 30]),
)  # fmt: skip
def test_the_result_is_the_decoders_whatever_the_chunk_and_the_budget(b, f, h, w, chunk, budget):
    """Also where the budget holds nothing, and the clip is walked in windows once for each normalisation."""
    decoder = trained_by_chance()
    latents = torch.randn(b, 4, f, h, w, generator=torch.Generator().manual_seed(f))
    with torch.no_grad():
        expected = decoder(latents).clamp(-1.0, 1.0)
    got = VideoDecoderCodec(decoder, chunk=chunk, budget=budget).decode(latents)
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)


def test_wrong_input_is_reported():
    decoder = VideoDecoder(channels=(16,), blocks=1)
    with pytest.raises(InputError, match=r"expected \(b 4 f h w\)"):
        decoder(torch.zeros(1, 3, 2, 8, 8))
    with pytest.raises(InputError, match="multiples of 8"):
        VideoDecoder(channels=(12,))
    with pytest.raises(InputError, match="only decodes"):
        VideoDecoderCodec(decoder).encode(torch.zeros(1, 3, 2, 8, 8))


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_a_convolution_over_time_is_conv3d_there_and_back(b: int, f: int, h: int, w: int, seed: int) -> None:
    torch.manual_seed(seed)
    ours = _OverTime(6, 4, (3, 1, 1), padding=(1, 0, 0)).double()
    theirs = torch.nn.Conv3d(6, 4, (3, 1, 1), padding=(1, 0, 0)).double()
    theirs.load_state_dict(ours.state_dict())
    found = []
    for layer in (ours, theirs):
        clip = torch.randn(b, 6, f, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        clip.requires_grad_()
        made = layer(clip)
        made.square().sum().backward()
        found.append((made, clip.grad, layer.weight.grad, layer.bias.grad))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)
