"""The leaves of a fast forward: convolutions of tiny maps, attention, feed-forwards.

conv of 3x3 on a 1x1 or 2x2 map    most of the kernel meets padding: one matrix product without it
conv of 3x3 on larger maps         by minimal filtering, a quarter of the products (`winograd`)
cross-attention                    keys and values once a prompt; all frames of a clip in one call
convolution over frames            by minimal filtering too, or in two dimensions, (f, h w)
self-attention of one token        softmax of one score is 1: the value itself
feed-forward                       in blocks of rows, whose widened activations are never all in memory
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jvid_models.fast.kept import Kept
from jvid_models.fast.rows import Rows
from jvid_models.fast.winograd import (
    filter_frames,
    filter_images,
    frames_pay,
    images_pay,
    of_frames,
    of_images,
)

__all__ = ["activate", "attend", "convolve", "cross_attend", "feed_forward", "over_frames"]

ROWS = 512
"""Rows of a feed-forward's block for each thread: fewer cost time, more cost memory."""


def _quiet(module: nn.Module) -> bool:
    return not (module._forward_hooks or module._forward_pre_hooks)


def convolve(conv: nn.Module, x: Tensor, kept: Kept) -> Tensor:
    """``conv(x)`` for x ``(n, c, h, w)``."""
    if (
        type(conv) is nn.Conv2d
        and conv.kernel_size == (3, 3)
        and conv.padding == (1, 1)
        and conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and not torch.is_grad_enabled()
        and _quiet(conv)
    ):
        h, w = x.shape[-2:]
        # On a GPU a matrix of 2x2 is not kept, and costs more than it saves.
        if max(h, w) <= (2 if x.device.type == "cpu" else 1):
            out_h, out_w = ((size - 1) // step + 1 for size, step in zip((h, w), conv.stride, strict=True))
            out = F.linear(x.flatten(1), kept.matrix(conv, h, w))
            out = out.unflatten(1, (conv.out_channels, out_h, out_w))
            return out if conv.bias is None else out + conv.bias.view(-1, 1, 1)
        if conv.stride == (1, 1) and _filters(x) and images_pay(conv):
            return filter_images(x, kept.weight(conv, "tiles", lambda: of_images(conv.weight)), conv.bias)
    out_of: Tensor = conv(x)
    return out_of


def over_frames(conv: nn.Conv3d, x: Tensor, kept: Kept) -> Tensor:
    """``conv(x)`` for x ``(n, c, f, h, w)``; of a kernel (k, 1, 1) without its three dimensions."""
    plain = type(conv) is nn.Conv3d and conv.padding_mode == "zeros" and _quiet(conv)
    if not plain or conv.kernel_size[1:] != (1, 1) or conv.stride != (1, 1, 1) or conv.padding[1:] != (0, 0):
        out: Tensor = conv(x)
        return out
    if (
        (conv.kernel_size[0], conv.padding[0], conv.dilation[0], conv.groups) == (3, 1, 1, 1)
        and not torch.is_grad_enabled()
        and _filters(x)
        and frames_pay(conv, x)
    ):
        U = kept.weight(conv, "tiles", lambda: of_frames(conv.weight.flatten(2)))
        made = filter_frames(x.permute(0, 2, 3, 4, 1).flatten(2, 3), U, conv.bias)
        return made.unflatten(2, x.shape[3:]).permute(0, 4, 1, 2, 3)
    # On processors torch has no fast convolution in three dimensions.
    flat = F.conv2d(
        x.flatten(3), conv.weight.flatten(3), conv.bias, padding=(int(conv.padding[0]), 0), dilation=(conv.dilation[0], 1),
        groups=conv.groups,
    )  # fmt: skip
    return flat.unflatten(3, x.shape[3:])


def _filters(x: Tensor) -> bool:
    """Whether fewer products are ours to look for: a GPU's library has its own, and half precision has not the digits."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )


def activate(function: nn.Module, x: Tensor) -> Tensor:
    """``function(x)``, in place where that gives the same; nothing else may use x then."""
    if type(function) is nn.SiLU and not torch.is_grad_enabled() and _quiet(function):
        return F.silu(x, inplace=True)
    out: Tensor = function(x)
    return out


def feed_forward(module: Any, x: Tensor) -> Tensor:
    """``module(x)`` for x ``(n, tokens, c)``, in blocks of rows; of a gated unit its halves each in one piece."""
    if torch.is_grad_enabled() or not _quiet(module):
        whole: Tensor = module(x)
        return whole
    rows = x.flatten(0, 1)
    gated = _gated(module)
    size = ROWS * torch.get_num_threads()
    if gated is None and len(rows) <= size:
        plain: Tensor = module(x)
        return plain
    out = torch.empty_like(rows)
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        if gated is None:
            out[start : start + size] = module(block)
        else:
            gated(block, out[start : start + size])
    return out.view_as(x)


def _gated(module: Any) -> Callable[[Tensor, Tensor], None] | None:
    """The block's function where it is linear, times gelu of linear, linear: GEGLU, as diffusers' default."""
    if len(module.net) != 3:
        return None
    gate, dropout, out = module.net
    if type(gate).__name__ != "GEGLU" or type(dropout) is not nn.Dropout or dropout.training:
        return None
    if not all(type(linear) is nn.Linear and _quiet(linear) for linear in (gate.proj, out)) or not _quiet(
        gate
    ):
        return None
    weight, bias = gate.proj.weight, gate.proj.bias
    half = len(weight) // 2
    if out.bias is None or torch.is_autocast_enabled(weight.device.type):
        return None

    def run(rows: Tensor, into: Tensor) -> None:
        # Halves of one product would be read with gaps, and be copied once more.
        value = F.linear(rows, weight[:half], None if bias is None else bias[:half])
        opened = torch.ops.aten.gelu_(F.linear(rows, weight[half:], None if bias is None else bias[half:]))
        torch.addmm(out.bias, value.mul_(opened), out.weight.T, out=into)

    return run


def _heads(x: Tensor, heads: int) -> Tensor:
    """``(n, tokens, heads d)`` -> ``(n, heads, tokens, d)``."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _out(attention: Any, x: Tensor) -> Tensor:
    for module in attention.to_out:
        x = module(x)
    return x


def attend(attention: Any, x: Tensor) -> Tensor:
    """Self-attention of x ``(n, tokens, c)``."""
    # With gradients queries and keys take part: of weights without a gradient DistributedDataParallel would wait for one.
    if x.shape[1] == 1 and not torch.is_grad_enabled():
        return _out(attention, attention.to_v(x))
    q, k, v = (
        _heads(project(x), attention.heads) for project in (attention.to_q, attention.to_k, attention.to_v)
    )
    mixed = F.scaled_dot_product_attention(q, k, v)
    return _out(attention, mixed.transpose(1, 2).flatten(2))


def cross_attend(attention: Any, x: Tensor, rows: Rows, kept: Kept) -> Tensor:
    """Attention of x ``(k b f, tokens, c)`` to ``rows.text``: ``(halves b f, tokens, c)``.

    All frames of a clip attend at once. Where x still holds one half (k = 1) both halves have the same queries.
    """
    text = rows.text

    def project() -> tuple[Tensor, Tensor]:
        return _heads(attention.to_k(text), attention.heads), _heads(attention.to_v(text), attention.heads)

    projections = (attention.to_k, attention.to_v)
    if torch.is_grad_enabled() or not all(type(p) is nn.Linear and _quiet(p) for p in projections):
        k, v = project()
    else:
        weights = tuple(w for p in projections for w in (p.weight, p.bias) if w is not None)
        k, v = kept.text(text, attention, weights, project)
    n, tokens, _ = x.shape
    q = _heads(attention.to_q(x).reshape(n // rows.frames, rows.frames * tokens, -1), attention.heads)
    if len(q) < len(k):
        q = q.repeat(rows.halves, 1, 1, 1)
    mixed = F.scaled_dot_product_attention(q, k, v)
    return _out(attention, mixed.transpose(1, 2).reshape(len(k) * rows.frames, tokens, -1))
