"""A UNet of `unets` as plain diffusers loads it: by its configuration alone.

`UNet2DConditionModel` has the number of heads of each level in its configuration, `UNet3DConditionModel` one width of heads for
all levels and for the temporal transformer at its entrance. An entrance of narrower heads is widened without a change of its
answer: each of its features is repeated k times,

    x' = (x, ..., x),   LN(x') = LN(x)',   W' x' = sum over copies of W x / k,   q' = q / sqrt(k)

as in Chen, Goodfellow and Shlens 2016, *Net2Net* (https://arxiv.org/abs/1511.05641). It computes more: k^2 times in its linear
layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from jvid.errors import InputError
from jvid_models.networks.unets import build_unet, options_of

__all__ = ["diffusers_form"]

_ENTRY = "transformer_in."
_FF_IN, _FF_OUT = "ff.net.0.proj.", "ff.net.2."


def diffusers_form(unet: nn.Module) -> nn.Module:
    """The UNet itself, or an equal one that its configuration describes.

    Raises:
        InputError: heads that a configuration of diffusers does not express; the message names the option.
    """
    options = options_of(unet)
    if options["factory"] == "image_unet":
        return unet
    widths = {width // options["heads"] for width in options["channels"][1:]} if options["heads"] else set()
    if len(widths) > 1:
        raise InputError(
            f"heads={options['heads']} of a video UNet with {len(widths)} widths of heads: diffusers' UNet3DConditionModel has "
            "one for all levels (head_width); leave --layout diffusers out"
        )
    width = widths.pop() if widths else int(options["head_width"] or 64)
    narrow = int(_entry_width(unet))
    if narrow == width:
        return unet
    if width % narrow:
        raise InputError(
            f"entry_head_width={narrow} beside heads of {width}: diffusers' UNet3DConditionModel has one width, and the second "
            "is no multiple of the first; leave --layout diffusers out"
        )
    wide: Any = build_unet(**{**options, "entry_head_width": width})
    wide.load_state_dict(
        {
            name: _widened(name.removeprefix(_ENTRY), tensor, narrow, width // narrow)
            if name.startswith(_ENTRY)
            else tensor
            for name, tensor in unet.state_dict().items()
        }
    )
    found: nn.Module = wide.eval()
    return found


def _entry_width(unet: Any) -> int:
    attention = unet.transformer_in.transformer_blocks[0].attn1
    return int(attention.inner_dim // attention.heads)


def _widened(name: str, tensor: Tensor, width: int, k: int) -> Tensor:
    """A tensor of the entrance with k copies of each feature; ``width`` of a head before."""
    if name.startswith("norm."):  # of the latents' channels
        return tensor
    if name.startswith("proj_out."):
        return _columns(tensor, width, k) if name.endswith("weight") else tensor
    if name.startswith("proj_in."):
        return _rows(tensor, width, k)
    inner = name.split(".", 2)[2]
    if inner.startswith(_FF_IN):
        halves = [half.repeat(k, *(1,) * (half.ndim - 1)) for half in tensor.chunk(2)]
        grown = torch.cat(halves)
        return _columns(grown, width, k) if tensor.ndim > 1 else grown
    if inner.startswith(_FF_OUT):
        return _rows(tensor.repeat(1, k) / k if tensor.ndim > 1 else tensor, width, k)
    found = _rows(tensor, width, k)
    if tensor.ndim > 1:
        found = _columns(found, width, k)
    return found / k**0.5 if ".to_q." in inner else found


def _rows(tensor: Tensor, width: int, k: int) -> Tensor:
    """Each head's rows k times."""
    return tensor.unflatten(0, (-1, 1, width)).expand(-1, k, -1, *tensor.shape[1:]).flatten(0, 2).clone()


def _columns(tensor: Tensor, width: int, k: int) -> Tensor:
    """Each head's columns k times, a k-th each."""
    return _rows(tensor.T, width, k).T.contiguous() / k
