"""UNets as plain diffusers loads them: the same answers, by the configuration alone."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch

from jvid.errors import InputError
from jvid_models.networks.diffusers_form import diffusers_form
from jvid_models.networks.unets import image_unet, video_unet

TINY: dict[str, Any] = {"channels": (16, 32), "layers": 1, "text_width": 12, "groups": 8}


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (image_unet, {"heads": 2}),
        (video_unet, {"head_width": 8}),
        (video_unet, {"head_width": 16, "entry_head_width": 4}),
        (video_unet, {"heads": 4, "entry_head_width": 2}),
    ],
)
def test_diffusers_loads_it_and_answers_alike(make: Any, options: dict[str, Any], tmp_path) -> None:
    torch.manual_seed(0)
    unet = make(**TINY, **options).eval()
    for parameter in unet.parameters():  # biases and norms too
        torch.nn.init.normal_(parameter, std=0.2)
    diffusers_form(unet).save_pretrained(tmp_path)
    plain = getattr(diffusers, type(unet).__name__).from_pretrained(tmp_path)
    x = torch.randn(2, 4, *((3,) if make is video_unet else ()), 8, 8)
    text, n = torch.randn(2, 5, 12), torch.tensor([7, 400])
    with torch.no_grad():
        expected, found = unet(x, n, text).sample, plain(x, n, text).sample
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (16, 32, 64), "heads": 2}, "heads=2 of a video UNet with 2 widths of heads"),
        ({"head_width": 8, "entry_head_width": 16}, "entry_head_width=16 beside heads of 8"),
    ],
)
def test_what_a_configuration_does_not_express_is_named(options, message) -> None:
    with pytest.raises(InputError, match=message):
        diffusers_form(video_unet(**{**TINY, **options}))
