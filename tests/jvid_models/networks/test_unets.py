"""Table 1's UNets: sizes, heads, and the options that rebuild them."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import nn

from jvid.errors import InputError
from jvid_models.networks.unets import build_unet, image_unet, options_of, video_unet

TINY = {"channels": (32, 64, 96), "layers": 1, "text_width": 24, "groups": 8}


def millions(network: nn.Module) -> float:
    return sum(weight.numel() for weight in network.parameters()) / 1e6


def test_table_1_has_the_papers_sizes():
    with torch.device("meta"):
        image, video = image_unet(), video_unet()
    assert round(millions(image)) == 546
    assert round(millions(video)) == 927
    for unet in (image, video):
        kinds = [type(block).__name__ for block in unet.down_blocks]
        assert [kind.startswith("CrossAttn") for kind in kinds] == [False, True, True, True]
        text = [m for n, m in unet.named_modules() if isinstance(m, Attention) and n.endswith("attn2")]
        assert {m.to_k.in_features for m in text if m.is_cross_attention} == {768}


@pytest.mark.parametrize("factory", [image_unet, video_unet])
@pytest.mark.parametrize("printed", [{"head_width": 16}, {"heads": 4}, {}])
def test_heads_and_head_width_mean_what_they_say(factory, printed):
    channels = (64, 128) if not printed else (32, 64, 96)
    unet = factory(**(TINY | {"channels": channels}), **printed)
    seen = set()
    for name, module in unet.named_modules():
        if isinstance(module, Attention) and not name.startswith("transformer_in."):
            width = module.to_q.out_features
            seen.add(width)
            wanted = printed.get("heads") or width // printed.get("head_width", 64)
            assert module.heads == wanted, name
            assert module.scale == pytest.approx((width // wanted) ** -0.5), name
    assert seen == set(channels[1:])


def test_the_entry_transformers_width_is_free():
    narrow = video_unet(**TINY, head_width=32, entry_head_width=4)
    assert narrow.transformer_in.proj_in.out_features == 8 * 4
    assert video_unet(**TINY, head_width=32).transformer_in.proj_in.out_features == 8 * 32


def test_the_video_unet_drops_nothing_out():
    unet = video_unet(**TINY, head_width=16).train()
    x, n, text = torch.randn(1, 4, 3, 8, 8), torch.tensor(5.0), torch.randn(1, 2, 24)
    with torch.no_grad():
        for module in unet.modules():
            if type(module).__name__ == "TemporalConvLayer":
                nn.init.normal_(module.conv4[-1].weight)
        first, second = (unet(x, n, text).sample for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("factory", [image_unet, video_unet])
@pytest.mark.parametrize("printed", [{"head_width": 16}, {"heads": 4}])
def test_options_rebuild_the_same_network(factory, printed):
    unet = factory(**TINY, **printed).eval()
    again = build_unet(**options_of(unet)).eval()
    again.load_state_dict(unet.state_dict())
    x = torch.randn(2, 4, 3, 8, 8) if factory is video_unet else torch.randn(2, 4, 8, 8)
    arguments = (x, torch.tensor([3.0, 700.0]), torch.randn(2, 5, 24))
    with torch.no_grad():
        assert torch.equal(unet(*arguments).sample, again(*arguments).sample)


@pytest.mark.parametrize(
    ("wrong", "printed"),
    [
        ({"channels": (64,)}, "1 level"),
        ({"channels": (32, 40), "heads": 3}, "do not divide by heads=3"),
        ({"channels": (30, 64)}, "groups=8"),
        ({"heads": 4, "head_width": 16}, "not 96"),
        ({"head_width": 0}, "at least 1"),
    ],
)
def test_widths_that_do_not_fit_are_reported(wrong, printed):
    with pytest.raises(InputError, match=printed):
        video_unet(**(TINY | wrong))
