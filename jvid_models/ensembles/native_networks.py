"""Denoisers of the networks of diffusers' pipelines, by jvid's own adapters; None where the pipeline's own call is needed.

It is needed where it does more than the adapter: networks that take pictures or an embedded scale, schedulers that clip x_0,
caches whose states it keeps, and hooks, which move weights or look at what a network gets.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from jvid.denoisers.parameterized import Network, Parameterized
from jvid.denoisers.preconditioned import Preconditioned
from jvid.extras import extra
from jvid.schedules import FlowMatching
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.adapters.pipelines.levels import VisitedLevels
from jvid_models.adapters.qwen_image import QwenImageNetwork
from jvid_models.adapters.scheduler_outputs import OutputKind
from jvid_models.adapters.unet_network import UNETS
from jvid_models.adapters.wan import WanNetwork
from jvid_models.ensembles.pipeline_unet import PipelineUNet
from jvid_models.ensembles.schedulers import clips_x_0
from jvid_models.ensembles.split import fixed_parts_of

with extra("models"):
    import diffusers

__all__ = ["qwen_image", "unet", "wan"]


def unet(denoiser: PipelineDenoiser) -> Parameterized | Preconditioned | None:
    """Of a UNet's pipeline."""
    pipe = denoiser.pipe
    if (
        type(pipe.unet).__name__ not in UNETS  # a compiled one, say
        or pipe.unet.config.in_channels != pipe.unet.config.out_channels
        or getattr(pipe, "image_encoder", None) is not None
        or clips_x_0(pipe.scheduler)
        or _is_hooked(pipe.unet)
    ):
        return None
    levels = denoiser.setting.levels
    network = PipelineUNet(pipe.unet.eval(), levels, fixed=fixed_parts_of(denoiser, "unet"))
    return levels.denoiser(network, denoiser.space)


def wan(denoiser: PipelineDenoiser) -> Parameterized | None:
    """Of a text-to-video pipeline of Wan, of one transformer."""
    pipe, network = denoiser.pipe, denoiser.pipe.transformer
    if (
        not _is_exactly(pipe, "WanPipeline")
        or not _is_exactly(network, "WanTransformer3DModel")
        or pipe.config.get("boundary_ratio") is not None
        or network.config.image_dim is not None
        or network.config.added_kv_proj_dim is not None
        or network.config.in_channels != network.config.out_channels
        or _is_watched(network)
    ):
        return None
    levels = denoiser.setting.levels
    return _of_flow(denoiser, levels, WanNetwork(denoiser, levels, fixed_parts_of(denoiser, "transformer")))


def qwen_image(denoiser: PipelineDenoiser) -> Parameterized | None:
    """Of Qwen-Image's text-to-image pipeline."""
    pipe, network = denoiser.pipe, denoiser.pipe.transformer
    if (
        not _is_exactly(pipe, "QwenImagePipeline")
        or not _is_exactly(network, "QwenImageTransformer2DModel")
        or any(network.config.get(name) for name in ("guidance_embeds", *_FURTHER))
        or network.config.in_channels != 4 * network.config.out_channels
        or _is_watched(network)
    ):
        return None
    levels = denoiser.setting.levels
    return _of_flow(
        denoiser, levels, QwenImageNetwork(denoiser, levels, fixed_parts_of(denoiser, "transformer"))
    )


_FURTHER = ("zero_cond_t", "use_additional_t_cond", "use_layer3d_rope")
"""Options of Qwen-Image's transformer for editing and layers."""


def _of_flow(denoiser: PipelineDenoiser, levels: VisitedLevels, network: Network) -> Parameterized | None:
    """The denoiser of a network whose prediction is eps - x_0, if that is what the scheduler takes it for."""
    if levels.kind != OutputKind("flow"):
        return None
    if not isinstance(levels.schedule, FlowMatching):
        return None
    return Parameterized(network, levels.schedule, "flow", denoiser.space)


def _is_exactly(part: Any, name: str) -> bool:
    """Whether it is of a class of diffusers, and not of one that inherits from it."""
    return type(part) is getattr(diffusers, name)


def _is_hooked(module: nn.Module) -> bool:
    """Whether diffusers or accelerate has hooks in a network, for its weights or for a cache."""
    # A pipeline's own call leaves a registry without hooks.
    registries = (vars(each).get("_diffusers_hook") for each in module.modules())
    return any(getattr(each, "hooks", None) for each in registries) or any(
        hasattr(each, "_hf_hook") for each in module.modules()
    )


def _is_watched(module: Any) -> bool:
    """Whether a network has hooks of any kind."""
    return _is_hooked(module) or any(
        each._forward_hooks or each._forward_pre_hooks for each in module.modules()
    )
