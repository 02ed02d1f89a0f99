"""UNets without diffusers: the same names, options and bits as diffusers' own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jvid.core.fingerprint import fingerprint
from jvid.errors import InputError
from jvid_models.ensembles.bundled import sprites_64
from jvid_models.fast import accelerate
from jvid_models.networks.light_unets import LightUNet, light_unet
from jvid_models.networks.unets import build_unet, options_of

SMALL: dict[str, Any] = {"channels": [16, 32], "layers": 1, "text_width": 12, "groups": 8}
OPTIONS: list[dict[str, Any]] = [
    {"factory": "video_unet", **SMALL, "head_width": 16, "entry_head_width": 4},
    {"factory": "video_unet", **SMALL, "channels": [16, 32, 48], "layers": 2, "heads": 4},
    {"factory": "video_unet", **SMALL, "channels": [64, 64], "latent_channels": 3},
    {"factory": "image_unet", **SMALL, "head_width": 16},
    {"factory": "image_unet", **SMALL, "channels": [16, 32, 32], "layers": 3, "heads": 4, "sample_size": 16},
]


def pair(options: dict[str, Any]) -> tuple[Any, LightUNet]:
    """diffusers' UNet, and the light one with its weights, none of which is zero."""
    torch.manual_seed(0)
    stock = build_unet(**options).eval().requires_grad_(False)
    for weight in stock.parameters():
        weight.normal_(0.0, 0.1)
    with torch.device("meta"):
        light = light_unet(**options)
    light.load_state_dict(stock.state_dict(), strict=True, assign=True)
    return stock, light.eval().requires_grad_(False)


def inputs(options: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    frames = (3,) if options["factory"] == "video_unet" else ()
    x = torch.randn(2, options.get("latent_channels", 4), *frames, 8, 8)
    return x, torch.tensor([7.0, 7.0]), torch.randn(2, 5, options["text_width"])


@pytest.mark.parametrize("options", OPTIONS)
def test_a_light_unet_has_the_weights_options_and_bits_of_diffusers_own(options: dict[str, Any]) -> None:
    stock, light = pair(options)
    given = inputs(options)
    assert type(light).__name__ == type(stock).__name__
    assert options_of(light) == options_of(stock)
    assert all(stock.config[name] == value for name, value in light.config.items())
    with torch.no_grad():
        fast = accelerate(light)(*given, return_dict=False)[0]
        assert torch.equal(fast, accelerate(stock)(*given, return_dict=False)[0])
        assert torch.equal(light(*given).sample, stock(*given).sample)
    assert {id(weight) for weight in light.stock().parameters()} == {
        id(weight) for weight in light.parameters()
    }


@pytest.mark.parametrize("place", ["mid_block.resnets.0", "mid_block.resnets.0.conv1", "mid_block"])
def test_hooks_and_replaced_layers_are_called(place: str) -> None:
    stock, light = pair(OPTIONS[0])
    given, seen = inputs(OPTIONS[0]), []
    for unet in (stock, light):
        unet.mid_block.resnets[1].conv1 = nn.Conv2d(32, 32, 1)
        nn.init.constant_(unet.mid_block.resnets[1].conv1.weight, 0.01)
        nn.init.zeros_(unet.mid_block.resnets[1].conv1.bias)
        unet.get_submodule(place).register_forward_hook(lambda *_: seen.append(place))
    # A leaf is called as a module; what the fast forward opens up is not, and diffusers' own forward takes its place.
    other = nullcontext() if "conv1" in place else pytest.warns(UserWarning, match="a hook is set")
    with torch.no_grad(), other:
        ours, theirs = (accelerate(unet)(*given, return_dict=False)[0] for unet in (light, stock))
    assert torch.equal(ours, theirs)
    assert len(seen) == 2


def test_hooks_get_what_they_are_registered_for() -> None:
    stock, light = pair(OPTIONS[0])
    given, seen = inputs(OPTIONS[0]), []
    for unet in (stock, light):
        layer = unet.mid_block.resnets[0]
        layer.register_forward_hook(lambda _, args, kw, out: seen.append(("after", *kw)), with_kwargs=True)
        layer.register_forward_pre_hook(lambda _, args, kw: seen.append(("before", *kw)), with_kwargs=True)
        layer.register_full_backward_hook(lambda _, gin, gout: seen.append(("back", len(gin))))
    for unet in (stock, light):
        x = given[0].clone().requires_grad_()
        with pytest.warns(UserWarning, match="a hook is set"):
            accelerate(unet)(x, *given[1:], return_dict=False)[0].sum().backward()
    assert len(seen) == 6
    assert seen[:3] == seen[3:]


def test_autocast_leaves_nothing_behind() -> None:
    _, light = pair(OPTIONS[0])
    fast, given = accelerate(light), inputs(OPTIONS[0])
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            half = fast(*given, return_dict=False)[0]
        full = fast(*given, return_dict=False)[0]
        with torch.autocast("cpu", torch.bfloat16):
            again = fast(*given, return_dict=False)[0]
        fresh = accelerate(light)(*given, return_dict=False)[0]
    assert full.dtype == torch.float32
    assert torch.equal(full, fresh)
    assert torch.equal(half, again)


def test_another_forward_of_a_layer_is_refused() -> None:
    _, light = pair(OPTIONS[3])
    light.mid_block.resnets[0].forward = lambda *_: None
    with (
        pytest.warns(UserWarning, match="the forward of its ResnetBlock2D was replaced"),
        pytest.raises(InputError, match="load the ensemble with fast=False"),
    ):
        accelerate(light)(*inputs(OPTIONS[3]))


def test_wrong_options_are_refused_as_those_of_diffusers_own() -> None:
    for options in (
        {"factory": "unet"},
        {"factory": "image_unet", "entry_head_width": 4},
        {**OPTIONS[0], "heads": 3},
    ):
        with pytest.raises(InputError) as expected:
            build_unet(**options)
        with pytest.raises(InputError) as got:
            light_unet(**options)
        assert str(got.value) == str(expected.value)


def test_a_folders_states_fit_whether_its_networks_are_light_or_not() -> None:
    light, stock = (sprites_64(fast=fast) for fast in (True, False))
    for name in ("clips", "frames"):
        ours, theirs = (fingerprint({"it": ensemble.denoiser(name)}) for ensemble in (light, stock))
        assert isinstance(light.denoiser(name).network.unet, LightUNet)
        assert not isinstance(stock.denoiser(name).network.unet, LightUNet)
        assert {path for path in ours if ours[path] != theirs[path]} == {"it.network.fast"}
