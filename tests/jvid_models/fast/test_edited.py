"""Weights that are edited after a first call, in any way: the accelerated forward's next call sees them."""

from __future__ import annotations

import pytest
import torch

from jvid_models.fast import accelerate
from jvid_models.networks.unets import image_unet, video_unet

# Wide enough for filtered convolutions, small enough for matrices of 2x2 maps.
OPTIONS = {"channels": (96, 96), "layers": 1, "text_width": 12, "groups": 8, "heads": 2}


@pytest.fixture(scope="module")
def unets():
    torch.manual_seed(0)
    return {"image": image_unet(**OPTIONS).eval(), "video": video_unet(**OPTIONS).eval()}


def by_data(unet):
    for weight in unet.parameters():
        weight.data.mul_(1.1)


def by_one_bit(unet):
    # As small as an edit can be, and so placed that sums do not show it.
    for weight in unet.parameters():
        flat = weight.data.view(-1)
        if len(flat) > 1:
            flat[:2] = flat[:2].flip(0)


def by_version(unet):
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(0.01)


def by_replacing(unet):
    for module in unet.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d | torch.nn.Linear):
            module.weight = torch.nn.Parameter(module.weight.detach() * 1.2)


def by_memory(unet):
    for weight in unet.parameters():
        weight.data = weight.data * 0.9


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        ("video", by_data),
        *(("image", edit) for edit in (by_data, by_one_bit, by_version, by_replacing, by_memory)),
    ],
)
@torch.no_grad()
def test_the_next_call_sees_an_edit(unets, kind, edit):
    unet = unets[kind]
    fast = accelerate(unet)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((1, 4, 4, 4) if kind == "image" else (1, 4, 2, 4, 4), generator=generator)
    text, t = torch.randn(1, 5, 12, generator=generator), torch.tensor(300.0)
    before = fast(x, t, text).sample
    torch.testing.assert_close(before, unet(x, t, text).sample, atol=1e-5, rtol=1e-4)
    kept = {weight: value for weight, (_, value) in fast.kept._weights.items()}
    assert kept
    assert torch.equal(fast(x, t, text).sample, before)
    assert all(fast.kept._weights[weight][1] is value for weight, value in kept.items())
    edit(unet)
    expected = unet(x, t, text).sample
    assert not torch.allclose(expected, before, atol=1e-4)
    torch.testing.assert_close(fast(x, t, text).sample, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_low_rank_update_that_is_merged_swapped_and_unmerged():
    torch.manual_seed(0)
    unet = image_unet(**OPTIONS).eval()
    fast = accelerate(unet)
    x, text, t = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 12), torch.tensor(300.0)
    layers = [m for m in unet.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    updates = [
        [torch.randn(len(m.weight), 2) @ torch.randn(2, m.weight[0].numel()) * 0.02 for m in layers]
        for _ in range(2)
    ]

    def merge(index, scale):
        # As peft merges: fuse_lora edits the memory of the weight, unfuse_lora takes the update off again.
        for module, update in zip(layers, updates[index], strict=True):
            module.weight.data += scale * update.view_as(module.weight)

    results = []
    for steps in ((), ((0, 1.0),), ((0, -1.0), (1, 0.5)), ((1, -0.5),)):
        for step in steps:
            merge(*step)
        expected = unet(x, t, text).sample
        torch.testing.assert_close(fast(x, t, text).sample, expected, atol=1e-5, rtol=1e-4)
        results.append(expected)
    assert not torch.allclose(results[0], results[1], atol=1e-3)
    assert not torch.allclose(results[1], results[2], atol=1e-3)
    torch.testing.assert_close(results[3], results[0], atol=1e-4, rtol=1e-3)
