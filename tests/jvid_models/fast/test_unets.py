"""The fast forward gives the stock forward's answer, on the same weights, whatever the configuration."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet3DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0, SlicedAttnProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from jvid.errors import InputError
from jvid_models.fast import AcceleratedUNet, accelerate

TEXT = 24


def lively(unet: nn.Module, seed: int) -> nn.Module:
    """Random weights, none zero: as initialised, the last temporal convolutions would hide what is before them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if weight.ndim > 1:
                bound = (3.0 / weight[0].numel()) ** 0.5
                weight.uniform_(-bound, bound, generator=generator)
            else:  # weights of norms are about 1, biases about 0
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator) + name.endswith("weight"))
    return unet.eval()


def image_unet(widths=(32, 64), layers=1, heads=2, linear=False, seed=0, **options):
    down = ("DownBlock2D", *("CrossAttnDownBlock2D",) * (len(widths) - 1))
    return lively(
        UNet2DConditionModel(
            sample_size=8, block_out_channels=widths, layers_per_block=layers, attention_head_dim=heads,
            cross_attention_dim=TEXT, use_linear_projection=linear, norm_num_groups=8, down_block_types=down,
            up_block_types=(*("CrossAttnUpBlock2D",) * (len(widths) - 1), "UpBlock2D"), **options,
        ),
        seed,
    )  # fmt: skip


def video_unet(widths=(32, 64), layers=1, heads=2, seed=0, **options):
    down = ("DownBlock3D", *("CrossAttnDownBlock3D",) * (len(widths) - 1))
    unet = UNet3DConditionModel(
        sample_size=8, block_out_channels=widths, layers_per_block=layers, attention_head_dim=widths[1] // heads,
        cross_attention_dim=TEXT, norm_num_groups=8, down_block_types=down,
        up_block_types=(*("CrossAttnUpBlock3D",) * (len(widths) - 1), "UpBlock3D"), **options,
    )  # fmt: skip
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return lively(unet, seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def guided(video, clips=1, frames=3, size=(8, 8), tokens=5, seed=0):
    """x and text of two halves, and the hints that say so."""
    x = randn(clips, 4, frames, *size, seed=seed)
    text = randn(2 * clips, tokens, TEXT, seed=seed + 1)
    x = torch.cat([x, x])
    if video:
        return x, text, {"halves": 2}
    return x.transpose(1, 2).flatten(0, 1), text.repeat_interleave(frames, 0), {"halves": 2, "frames": frames}


def stock(unet, x, t, text, **options):
    with torch.no_grad():
        return unet(x, t, text, return_dict=False, **options)[0]


def fast(wrapped, x, t, text, **options):
    with torch.no_grad():
        return wrapped(x, t, text, return_dict=False, **options)[0]


def agree(one, other):
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    assert one.abs().max() > 0.05  # not two silences


@settings(max_examples=12)
@given(
    widths=st.lists(st.sampled_from([16, 32, 48]), min_size=2, max_size=4),
    layers=st.integers(1, 2),
    heads=st.sampled_from([1, 2, 4]),
    linear=st.booleans(),
    frames=st.integers(1, 5),
    clips=st.integers(1, 2),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    tokens=st.integers(1, 7),
    video=st.booleans(),
    hinted=st.booleans(),
    t=st.integers(0, 999),
    seed=st.integers(0, 9),
)
def test_the_fast_forward_is_the_stock_forward(
    widths, layers, heads, linear, frames, clips, size, tokens, video, hinted, t, seed
):
    if video:
        unet = video_unet((widths[0], *[widths[1]] * (len(widths) - 1)), layers, heads, seed)
    else:
        unet = image_unet(tuple(widths), layers, heads, linear, seed)
    x, text, hints = guided(video, clips, frames, size, tokens, seed)
    hints = hints if hinted else {}
    # In double precision: normalising groups of a few numbers magnifies float32's rounding without bound.
    unet, x, text = unet.double(), x.double(), text.double()
    expected = stock(unet, x, torch.tensor(t), text)
    torch.testing.assert_close(
        fast(accelerate(unet), x, torch.tensor(t), text, **hints), expected, atol=1e-8, rtol=0
    )
    if min(widths) >= 32 and min(size) >= 4:
        unet, x, text = unet.float(), x.float(), text.float()
        single = fast(accelerate(unet), x, torch.tensor(t), text, **hints)
        torch.testing.assert_close(single.double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("video", [False, True])
def test_each_sample_may_have_its_own_time_and_text(video):
    unet = video_unet() if video else image_unet()
    x = randn(3, 4, 2, 8, 8) if video else randn(3, 4, 8, 8)
    t, text = torch.tensor([10, 500, 990]), randn(3, 4, TEXT, seed=1)
    agree(fast(accelerate(unet), x, t, text), stock(unet, x, t, text))
    # Two halves of different times in a half.
    x, text, hints = guided(video, clips=2)
    times = torch.tensor([10, 900]) if video else torch.tensor([10, 900]).repeat_interleave(3)
    times = torch.cat([times, times])
    agree(fast(accelerate(unet), x, times, text, **hints), stock(unet, x, times, text))


def test_options_of_images_classes_scale_shift_and_sdxl():
    x, text, hints = guided(False)
    labels = torch.arange(6) % 3
    unet = image_unet(num_class_embeds=3, resnet_time_scale_shift="scale_shift", mid_block_scale_factor=1.5)
    t = torch.tensor(7)
    expected = stock(unet, x, t, text, class_labels=labels)
    agree(fast(accelerate(unet), x, t, text, class_labels=labels, **hints), expected)
    sdxl = image_unet(
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + 10,
        transformer_layers_per_block=(1, 2),
    )  # fmt: skip
    added = {"text_embeds": randn(6, 10), "time_ids": torch.arange(36.0).view(6, 6)}
    expected = stock(sdxl, x, t, text, added_cond_kwargs=added)
    agree(fast(accelerate(sdxl), x, t, text, added_cond_kwargs=added, **hints), expected)


def calls_of(module):
    """A list that grows with each call, by a hook."""
    seen = []
    module.register_forward_hook(lambda *_: seen.append(1))
    return seen


@pytest.mark.parametrize("video", [False, True])
def test_what_is_left_out_is_left_out(video):
    unet = video_unet() if video else image_unet()
    x, text, hints = guided(video)
    rows = []
    unet.conv_in.register_forward_hook(lambda module, inputs, out: rows.append(len(out)))
    wrapped = accelerate(unet)
    key = unet.down_blocks[1].attentions[0].transformer_blocks[0].attn2.to_k
    original, widths = key.forward, []
    key.forward = lambda z: (widths.append(tuple(z.shape)), original(z))[1]
    for t in (9, 8, 7):
        fast(wrapped, x, torch.tensor(t), text, **hints)
    assert rows == [3] * 3  # one half of the prefix
    assert widths == [(2, 5, TEXT)]  # each prompt once, not for each frame nor each step


def test_kept_text_never_mixes():
    unet = image_unet()
    wrapped = accelerate(unet)
    t = torch.tensor(300)
    runs = [guided(False, seed=seed) for seed in (0, 10, 20, 30, 40, 50)]
    expected = [stock(unet, x, t, text) for x, text, _ in runs]
    for _ in range(2):  # in turn, more of them than are kept
        for (x, text, hints), answer in zip(runs, expected, strict=True):
            agree(fast(wrapped, x, t, text, **hints), answer)
    x, text, hints = runs[0]
    text.mul_(-1.0)  # the same tensor, another prompt
    agree(fast(wrapped, x, t, text, **hints), stock(unet, x, t, text))
    wrapped.clear()
    agree(fast(wrapped, x, t, text, **hints), stock(unet, x, t, text))


def test_another_text_at_the_same_address_is_another_text():
    unet, t = image_unet(), torch.tensor(3)
    wrapped = accelerate(unet)
    x = randn(2, 4, 8, 8)
    for seed in range(8):  # freed and allocated again, as a rule in the same place
        text = randn(2, 4, TEXT, seed=seed)
        agree(fast(wrapped, x, t, text), stock(unet, x, t, text))
        del text


@pytest.mark.parametrize("video", [False, True])
def test_weights_that_change_are_noticed(video):
    unet = video_unet((32, 32, 32)) if video else image_unet((32, 32, 32))
    wrapped = accelerate(unet)
    x, text, hints = guided(video, size=(4, 4))  # 2x2 and 1x1 maps below
    t = torch.tensor(100)
    before = fast(wrapped, x, t, text, **hints)
    with torch.no_grad():  # as a LoRA is merged: in place
        for weight in unet.parameters():
            weight.mul_(1.1)
    agree(fast(wrapped, x, t, text, **hints), stock(unet, x, t, text))
    assert not torch.allclose(before, stock(unet, x, t, text), atol=1e-3)
    other = video_unet((32, 32, 32), seed=5) if video else image_unet((32, 32, 32), seed=5)
    unet.load_state_dict(other.state_dict())
    agree(fast(wrapped, x, t, text, **hints), stock(other, x, t, text))
    unet.load_state_dict(lively(copy.deepcopy(other), 6).state_dict(), assign=True)
    agree(fast(wrapped, x, t, text, **hints), stock(unet, x, t, text))
    unet.to(torch.float64)
    x, text = x.double(), text.double()
    torch.testing.assert_close(fast(wrapped, x, t, text, **hints), stock(unet, x, t, text), atol=1e-6, rtol=0)
    unet.to(torch.bfloat16)
    x, text = x.bfloat16(), text.bfloat16()
    close = (fast(wrapped, x, t, text, **hints) - stock(unet, x, t, text)).float().abs().mean()
    assert close < 0.02 * stock(unet, x, t, text).float().abs().mean() + 0.02


def test_the_wrap_is_the_unet_to_everybody_else(tmp_path):
    unet = image_unet()
    wrapped = accelerate(unet)
    assert accelerate(wrapped) is wrapped
    assert wrapped.config is unet.config
    assert wrapped.dtype == torch.float32
    assert list(wrapped.state_dict()) == list(unet.state_dict())
    assert {id(p) for p in wrapped.parameters()} == {id(p) for p in unet.parameters()}
    wrapped.save_pretrained(tmp_path)
    loaded = UNet2DConditionModel.from_pretrained(tmp_path)
    x, t, text = randn(1, 4, 8, 8), torch.tensor(1), randn(1, 2, TEXT)
    agree(stock(loaded.eval(), x, t, text), fast(wrapped, x, t, text))
    wrapped.load_state_dict(image_unet(seed=3).state_dict())
    agree(fast(wrapped, x, t, text), stock(image_unet(seed=3), x, t, text))
    twin = copy.deepcopy(wrapped)
    wrapped.load_state_dict(image_unet(seed=4).state_dict())
    agree(fast(twin, x, t, text), stock(image_unet(seed=3), x, t, text))
    with torch.no_grad():
        assert wrapped(x, t, text).sample.shape == x.shape
    assert wrapped.to(torch.float64).dtype == torch.float64 == unet.dtype
    assert isinstance(wrapped, AcceleratedUNet)
    with pytest.raises(AttributeError):
        wrapped.no_such_thing  # noqa: B018


REFUSED = {
    "processor": (lambda u: u.set_attn_processor(SlicedAttnProcessor(1)), "SlicedAttnProcessor"),
    "hook": (lambda u: u.down_blocks[0].register_forward_hook(lambda *_: None), "hook is set on its DownBlock2D"),
    "inner hook": (lambda u: u.mid_block.resnets[0].register_forward_hook(lambda *_: None), "ResnetBlock2D"),
    "freeu": (lambda u: u.enable_freeu(1.1, 1.1, 1.1, 1.1), "FreeU"),
    "replaced": (lambda u: setattr(u.mid_block.resnets[0], "forward", u.mid_block.resnets[0].forward), "replaced"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_unknown_runs_in_the_stock_forward_with_one_warning(case):
    change, printed = REFUSED[case]
    unet = image_unet()
    change(unet)
    wrapped = accelerate(unet)
    x, text, hints = guided(False)
    with pytest.warns(UserWarning, match=printed):
        first = fast(wrapped, x, torch.tensor(4), text, **hints)
    agree(first, stock(unet, x, torch.tensor(4), text))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast(wrapped, x, torch.tensor(4), text, **hints)


def test_an_unknown_class_and_unknown_arguments():
    class Other(nn.Module):
        def forward(self, x, t, text, return_dict=True):
            return (2 * x,)

    with pytest.warns(UserWarning, match="a Other is not one of"):
        assert torch.equal(
            fast(accelerate(Other()), torch.ones(1, 4, 2, 2), 1, torch.ones(1, 1, 1)),
            torch.full((1, 4, 2, 2), 2.0),
        )
    unet = image_unet()
    x, t, text = randn(1, 4, 8, 8), torch.tensor(1), randn(1, 2, TEXT)
    mask = torch.tensor([[True, False]])
    with pytest.warns(UserWarning, match="called with encoder_attention_mask"):
        masked = fast(accelerate(unet), x, t, text, encoder_attention_mask=mask)
    agree(masked, stock(unet, x, t, text, encoder_attention_mask=mask))


def test_hooks_on_leaves_are_called():
    unet = image_unet((32, 32, 32))
    wrapped = accelerate(unet)
    norm, conv = calls_of(unet.mid_block.resnets[0].norm1), calls_of(unet.mid_block.resnets[0].conv1)
    feed = calls_of(unet.mid_block.attentions[0].transformer_blocks[0].ff)
    key = calls_of(unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k)
    x, t, text = randn(1, 4, 4, 4), torch.tensor(1), randn(1, 2, TEXT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            agree(fast(wrapped, x, t, text), stock(unet, x, t, text))
    assert [len(seen) for seen in (norm, conv, feed, key)] == [4] * 4  # twice each, in both forwards


@pytest.mark.parametrize("processor", [AttnProcessor, AttnProcessor2_0])
def test_both_plain_processors_are_known(processor):
    unet = video_unet()
    unet.set_attn_processor(processor())
    x, text, hints = guided(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(
            fast(accelerate(unet), x, torch.tensor(4), text, **hints), stock(unet, x, torch.tensor(4), text)
        )


def test_rows_that_do_not_divide_are_reported():
    wrapped = accelerate(image_unet())
    with pytest.raises(InputError, match="3 samples"):
        fast(wrapped, randn(3, 4, 8, 8), 1, randn(3, 2, TEXT), halves=2)
    with pytest.raises(InputError, match="with 2 texts"):
        fast(wrapped, randn(4, 4, 8, 8), 1, randn(2, 2, TEXT))
    with pytest.raises(InputError, match="float64"):
        fast(wrapped, randn(1, 4, 8, 8).double(), 1, randn(1, 2, TEXT).double())


@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize(("frames", "side"), [(3, 8), (1, 2)])  # the second ends in maps of one token
def test_gradients_are_the_stock_ones_with_checkpointing_too(video, frames, side):
    unet = video_unet() if video else image_unet()
    x = randn(2, 4, frames, side, side) if video else randn(2, 4, side, side)
    t, text = torch.tensor([5, 700]), randn(2, 4, TEXT, seed=1)

    def gradients(forward):
        unet.zero_grad()
        forward(x, t, text, return_dict=False)[0].square().mean().backward()
        return [p.grad.clone() for p in unet.parameters()]

    expected = gradients(unet)
    for checkpointing in (False, True):
        for one, other in zip(
            gradients(accelerate(unet, checkpointing=checkpointing)), expected, strict=True
        ):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_checkpointing_keeps_less():
    unet = video_unet()
    x, t, text = randn(1, 4, 4, 16, 16), torch.tensor([5]), randn(1, 4, TEXT, seed=1)

    def saved(checkpointing):
        count = 0

        def pack(tensor):
            nonlocal count
            count += tensor.numel() * (not isinstance(tensor, nn.Parameter))
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            accelerate(unet, checkpointing=checkpointing)(x, t, text, return_dict=False)
        return count

    assert saved(True) < 0.4 * saved(False)


def test_it_is_found_by_its_name():
    import jvid_models

    assert jvid_models.accelerate is accelerate
    with pytest.raises(AttributeError, match="no attribute 'decelerate'"):
        _ = jvid_models.decelerate
