"""The UNets that the fast forward supports; any other is named in a warning and runs unchanged."""

from __future__ import annotations

from typing import Any

from torch import nn

from jvid_models.networks.light_unets import LightUNet
from jvid_models.networks.unet_layers import DiffusersLayer

__all__ = ["why_not"]

_BLOCKS = {
    "UNet2DConditionModel": {
        "DownBlock2D", "CrossAttnDownBlock2D", "UNetMidBlock2DCrossAttn", "UpBlock2D", "CrossAttnUpBlock2D",
    },
    "UNet3DConditionModel": {
        "DownBlock3D", "CrossAttnDownBlock3D", "UNetMidBlock3DCrossAttn", "UpBlock3D", "CrossAttnUpBlock3D",
    },
}  # fmt: skip
_PROCESSORS = {"AttnProcessor", "AttnProcessor2_0"}
# What the walk opens up: a hook there would not be called. Leaves are called as modules, hooks and all.
_OPENED = {
    "Attention", "BasicTransformerBlock", "ResnetBlock2D", "Transformer2DModel", "TransformerTemporalModel",
    "Downsample2D", "Upsample2D", "TemporalConvLayer", "Sequential",
}  # fmt: skip


def why_not(unet: Any) -> str | None:
    """Why the fast forward does not support this UNet; None where it does. Cheap, for it is evaluated at each call."""
    kind = type(unet).__name__
    if isinstance(unet, LightUNet):  # of known layers alone
        changed = (
            _changed(module)
            for module in unet.modules()
            if isinstance(module, DiffusersLayer | nn.Sequential)
        )
        return next(filter(None, changed), _hooks_of_all())
    known = _BLOCKS.get(kind)
    if known is None:
        return f"a {kind} is not one of {' and '.join(_BLOCKS)}"
    config: Any = unet.config
    for name in ("encoder_hid_dim_type", "center_input_sample", "class_embeddings_concat"):
        if getattr(config, name, None):
            return f"its config has {name}={getattr(config, name)!r}"
    if getattr(config, "addition_embed_type", None) not in (None, "text_time"):
        return f"its config has addition_embed_type={config.addition_embed_type!r}"
    hooked = _hooks_of_all()
    blocks = [*unet.down_blocks, *unet.up_blocks] + ([] if unet.mid_block is None else [unet.mid_block])
    for block in blocks:
        if type(block).__name__ not in known:
            return f"its block {type(block).__name__} is unknown"
        if getattr(block, "s1", None):
            return "FreeU is enabled"
        if hooked := hooked or _hooks(block):
            return hooked
        for module in block.modules():
            if type(module).__name__ in _OPENED and (reason := _module(module)) is not None:
                return reason
    if kind == "UNet3DConditionModel":
        for module in unet.transformer_in.modules():
            if type(module).__name__ in _OPENED and (reason := _module(module)) is not None:
                return reason
    return hooked


def _hooks_of_all() -> str | None:
    from torch.nn.modules import module

    return (
        "a hook is set on all modules"
        if module._global_forward_hooks or module._global_forward_pre_hooks
        else None
    )


def _hooks(module: nn.Module) -> str | None:
    found = (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )
    return f"a hook is set on its {type(module).__name__}" if found else None


def _changed(module: nn.Module) -> str | None:
    if (reason := _hooks(module)) is not None:
        return reason
    return f"the forward of its {type(module).__name__} was replaced" if "forward" in vars(module) else None


def _module(module: Any) -> str | None:
    if (reason := _changed(module)) is not None:
        return reason
    kind = type(module).__name__
    if kind == "Attention":
        processor = type(module.processor).__name__
        if processor not in _PROCESSORS:
            return f"its attention processor {processor} is unknown"
        parts = ("spatial_norm", "group_norm", "norm_cross", "norm_q", "norm_k", "add_k_proj")
        odd = [
            name
            for name in parts
            if getattr(module, name, None) is not None and getattr(module, name) is not False
        ]
        if odd or module.residual_connection or module.rescale_output_factor != 1 or not module.scale_qk:
            return f"its attention has {', '.join(odd) or 'another scaling or residual'}"
    elif kind == "BasicTransformerBlock":
        if module.norm_type != "layer_norm" or module.pos_embed is not None or module.only_cross_attention:
            return f"its transformer blocks have norm {module.norm_type}, positions or cross-attention alone"
        if getattr(module, "fuser", None) is not None or module._chunk_size is not None:
            return "its transformer blocks have a fuser or chunks"
    elif kind == "ResnetBlock2D" and (module.upsample is not None or module.downsample is not None):
        return "its residual blocks change the size"
    elif kind == "Transformer2DModel" and not module.is_input_continuous:
        return "its transformers take no continuous input"
    return None
