"""Convolutions by minimal filtering: torch's own are the reference, in float64 as good as exact."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from jvid_models.fast.kept import Kept
from jvid_models.fast.layers import convolve, over_frames
from jvid_models.fast.winograd import CHANNELS, filter_frames, filter_images, of_frames, of_images

sides = st.integers(1, 19)
channels = st.integers(1, 5)
seeds = st.integers(0, 2**31)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(n=st.integers(1, 3), c_in=channels, c_out=channels, h=sides, w=sides, biased=st.booleans(), seed=seeds)
def test_images_as_a_convolution(n, c_in, c_out, h, w, biased, seed):
    x, weight = normal(seed, n, c_in, h, w), normal(seed + 1, c_out, c_in, 3, 3)
    bias = normal(seed + 2, c_out) if biased else None
    expected = F.conv2d(x, weight, bias, padding=1)
    torch.testing.assert_close(filter_images(x, of_images(weight), bias), expected, rtol=0, atol=1e-11)


@given(n=st.integers(1, 3), c_in=channels, c_out=channels, f=sides, s=st.integers(1, 6), seed=seeds)
def test_frames_as_a_convolution(n, c_in, c_out, f, s, seed):
    x, weight, bias = (
        normal(seed, n, f, s, c_in),
        normal(seed + 1, c_out, c_in, 3),
        normal(seed + 2, c_out),
    )
    expected = F.conv2d(x.permute(0, 3, 1, 2), weight[..., None], bias, padding=(1, 0)).permute(0, 2, 3, 1)
    torch.testing.assert_close(filter_frames(x, of_frames(weight), bias), expected, rtol=0, atol=1e-11)


def test_float32_loses_little_beside_a_direct_convolution():
    # Outputs of deviation 1; measured 1.3e-5 for minimal filtering, 2e-6 for the library's.
    x, weight = normal(0, 32, 192, 8, 8), normal(1, 192, 192, 3, 3) / (9 * 192) ** 0.5
    exact = F.conv2d(x, weight, padding=1)
    made = filter_images(x.float(), of_images(weight.float()), None)
    assert (made - exact).abs().max() < 3e-5


def conv2d(**options: object) -> nn.Conv2d:
    return nn.Conv2d(CHANNELS, CHANNELS, 3, **{"padding": 1, **options}).double().requires_grad_(False)


@pytest.fixture
def images() -> torch.Tensor:
    return normal(3, 2, CHANNELS, 5, 6)


def test_an_edited_weight_is_noticed(images):
    conv, kept = conv2d(), Kept()
    with torch.no_grad():
        first = convolve(conv, images, kept)
        conv.weight.mul_(2.0)
        second = convolve(conv, images, kept)
        torch.testing.assert_close(second, conv(images), rtol=0, atol=1e-10)
        assert not torch.allclose(first, second)
        conv.weight = nn.Parameter(torch.ones_like(conv.weight))
        torch.testing.assert_close(convolve(conv, images, kept), conv(images), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"dilation": 2, "padding": 2},
        {"groups": 2},
        {"padding_mode": "circular"},
        {"padding": 0},
    ],
)
def test_other_convolutions_are_left_alone(options, images):
    conv, kept = conv2d(**options), Kept()
    with torch.no_grad():
        assert torch.equal(convolve(conv, images, kept), conv(images))
    assert not kept._weights


def test_hooks_and_gradients_go_through_the_module(images):
    seen: list[int] = []
    conv, kept = conv2d(), Kept()
    with torch.no_grad():
        handle = conv.register_forward_hook(lambda *_: seen.append(1))
        convolve(conv, images, kept)
        assert seen == [1]
        handle.remove()
    conv.requires_grad_(True)
    convolve(conv, images, kept).sum().backward()
    assert conv.weight.grad is not None
    assert not kept._weights


@pytest.mark.parametrize("last", [True, False])
def test_over_frames_whatever_the_layout(last):
    conv, kept = (
        nn.Conv3d(CHANNELS, CHANNELS, (3, 1, 1), padding=(1, 0, 0)).double().requires_grad_(False),
        Kept(),
    )
    x = normal(5, 2, CHANNELS, 7, 2, 3)
    if last:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        torch.testing.assert_close(over_frames(conv, x, kept), conv(x), rtol=0, atol=1e-10)
    assert bool(kept._weights) == last


def test_half_precision_is_left_to_the_library(images):
    conv, kept = conv2d().bfloat16(), Kept()
    with torch.no_grad():
        assert torch.equal(convolve(conv, images.bfloat16(), kept), conv(images.bfloat16()))
    assert not kept._weights
