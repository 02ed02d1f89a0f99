"""The UNets of `jvid_models.networks.unets` for the fast forward alone, which needs their layers and no forward of theirs.

Names, options and weights are those of diffusers' classes: a state dict of one fits the other, and states of a run name the
same networks. Called itself, a light UNet is diffusers' own, with the same layers and hooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from jvid.errors import InputError
from jvid_models.networks.settings import Settings
from jvid_models.networks.unet_layers import (
    DiffusersLayer,
    Downsample2D,
    ResnetBlock2D,
    TemporalConvLayer,
    TimestepEmbedding,
    Timesteps,
    Transformer2DModel,
    TransformerTemporalModel,
    Upsample2D,
)
from jvid_models.networks.unets import ENTRY_HEADS, build_unet, complete_options, entry_width, head_counts

__all__ = ["LightUNet", "light_unet"]


class _Common:
    """What all stages of a UNet share."""

    def __init__(self, options: Mapping[str, Any], video: bool) -> None:
        self.channels = tuple(options["channels"])
        self.counts = head_counts(self.channels, options["heads"], options["head_width"], options["groups"])
        self.layers, self.text, self.groups = options["layers"], options["text_width"], options["groups"]
        self.time = 4 * self.channels[0]
        self.video = video


class _Stage(DiffusersLayer):
    """Residual blocks of widths ``(in, out)``, and as many transformers of ``heads`` as ``attentions``."""

    def __init__(
        self, widths: Sequence[tuple[int, int]], common: _Common, heads: int, attentions: int
    ) -> None:
        super().__init__()
        out, groups = widths[-1][1], common.groups
        self.downsamplers: nn.ModuleList | None = None
        self.upsamplers: nn.ModuleList | None = None
        self.has_cross_attention = attentions > 0
        self.resnets = nn.ModuleList(ResnetBlock2D(a, b, common.time, groups) for a, b in widths)
        if common.video:
            self.temp_convs = nn.ModuleList(TemporalConvLayer(out, groups) for _ in widths)
        if attentions:
            self.attentions = nn.ModuleList(
                Transformer2DModel(out, heads, common.text, groups, linear=common.video)
                for _ in range(attentions)
            )
        if attentions and common.video:
            self.temp_attentions = nn.ModuleList(
                TransformerTemporalModel(out, out, heads, groups) for _ in range(attentions)
            )


def _down(common: _Common, level: int) -> _Stage:
    """The stage of a level on the way down; level 0 does not attend."""
    width, layers = common.channels[level], common.layers
    before = common.channels[max(level - 1, 0)]
    widths = [(before, width)] + [(width, width)] * (layers - 1)
    stage = _Stage(widths, common, common.counts[level], layers if level else 0)
    if level + 1 < len(common.channels):
        stage.downsamplers = nn.ModuleList([Downsample2D(width)])
    return stage


def _up(common: _Common, level: int) -> _Stage:
    """The stage of a level on the way up: each residual block joins what one on the way down, or the convolution, left."""
    width, layers = common.channels[level], common.layers
    below = common.channels[min(level + 1, len(common.channels) - 1)]
    skips = [width] * layers + [common.channels[max(level - 1, 0)]]
    widths = [((width if i else below) + skip, width) for i, skip in enumerate(skips)]
    stage = _Stage(widths, common, common.counts[level], layers + 1 if level else 0)
    if level:
        stage.upsamplers = nn.ModuleList([Upsample2D(width)])
    return stage


class LightUNet(nn.Module):
    """What `light_unet` makes: the attributes that `jvid_models.fast` reads.

    ``options`` are those of `jvid_models.networks.unets`, each of them.
    """

    video: bool

    def __init__(self, factory: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        common = _Common(options, self.video)
        channels, groups, latent = common.channels, common.groups, options["latent_channels"]
        if self.video and options["entry_head_width"] is None:
            width = entry_width(channels, options["heads"], options["head_width"])
            options = {**options, "entry_head_width": width}
        self.jvid_options = {"factory": factory, **options, "channels": list(channels)}
        self.config = Settings(
            in_channels=latent,
            out_channels=latent,
            cross_attention_dim=common.text,
            sample_size=options["sample_size"],
        )
        self.conv_in = nn.Conv2d(latent, channels[0], 3, padding=1)
        self.time_proj = Timesteps(channels[0])
        self.time_embedding = TimestepEmbedding(channels[0], common.time)
        if self.video:
            inner = ENTRY_HEADS * options["entry_head_width"]
            self.transformer_in = TransformerTemporalModel(channels[0], inner, ENTRY_HEADS, groups)
        self.down_blocks = nn.ModuleList(_down(common, level) for level in range(len(channels)))
        self.mid_block = _Stage([(channels[-1],) * 2] * 2, common, common.counts[-1], 1)
        self.up_blocks = nn.ModuleList(_up(common, level) for level in reversed(range(len(channels))))
        self.num_upsamplers = len(channels) - 1
        self.conv_norm_out = nn.GroupNorm(groups, channels[0], eps=1e-5)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(channels[0], latent, 3, padding=1)

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights."""
        return next(self.parameters()).dtype

    def stock(self) -> nn.Module:
        """diffusers' UNet with the layers and hooks that this one has now.

        Raises:
            InputError: a module that only diffusers' classes can call was given another forward.
        """
        stock: Any = self.__dict__.get("_stock")
        if stock is None:
            with torch.device("meta"):
                stock = build_unet(**self.jvid_options)
            self.__dict__["_stock"] = stock  # not a module of this one: it would have the weights twice
        _graft(self, stock)
        made: nn.Module = stock.train(self.training)
        return made

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """diffusers' own forward."""
        return self.stock()(*args, **kwargs)


class UNet2DConditionModel(LightUNet):
    """`jvid_models.networks.unets.image_unet`."""

    video = False


class UNet3DConditionModel(LightUNet):
    """`jvid_models.networks.unets.video_unet`."""

    video = True


def light_unet(factory: str, **options: Any) -> LightUNet:
    """The UNet that `jvid_models.networks.unets.options_of` describes; errors as of ``build_unet``."""
    complete = complete_options(factory, options)
    kind = UNet3DConditionModel if factory == "video_unet" else UNet2DConditionModel
    return kind(factory, complete)


# With what they take and when they are called, which torch keeps beside them.
_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs",
    "_backward_hooks", "_backward_pre_hooks", "_is_full_backward_hook",
)  # fmt: skip


def _graft(own: nn.Module, stock: nn.Module) -> None:
    """Give a module of diffusers the layers and the hooks of the light one."""
    if not isinstance(own, LightUNet):
        if "forward" in vars(own):
            raise InputError(
                f"the forward of a {type(own).__name__} was replaced: load the ensemble with fast=False"
            )
        for name in _HOOKS:
            setattr(stock, name, getattr(own, name))
    for name, child in own.named_children():
        if isinstance(child, DiffusersLayer | nn.ModuleList | nn.Sequential):
            _graft(child, stock.get_submodule(name))
        else:
            setattr(stock, name, child)
