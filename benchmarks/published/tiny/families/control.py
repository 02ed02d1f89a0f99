"""UNets that follow a drawing or a clip of drawings: ControlNets, ControlNet-XS and T2I-Adapters."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.families.calls import FIRST, SHOTS
from benchmarks.published.tiny.families.frames import ANIMATEDIFF
from benchmarks.published.tiny.families.stable_diffusion import DDIM, SDXL, XL, unet
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

KIND = "control-to-image"


def controlnet(name: str = "ControlNetModel", **more: Any) -> Part:
    """A ControlNet for :func:`stable_diffusion.unet`."""
    values: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "cross_attention_dim": 16,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
        "conditioning_embedding_out_channels": (8, 8, 16, 16),
    }
    return diffusers(name, **(values | more))


def controlnet_xs(**more: Any) -> Part:
    """A ControlNet-XS of half the UNet's channels."""
    values: dict[str, Any] = {
        "conditioning_embedding_out_channels": (8, 8, 16, 16),
        "num_attention_heads": 2,
        "block_out_channels": (4, 8),
        "base_block_out_channels": (8, 16),
        "cross_attention_dim": 16,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "sample_size": 8,
        "max_norm_num_groups": 4,
        "use_linear_projection": False,
    }
    return diffusers("ControlNetXSAdapter", **(values | more))


_XL: dict[str, Any] = {key: value for key, value in XL.items() if key != "up_block_types"} | {
    "cross_attention_dim": 40
}

_UNION: dict[str, Any] = {"num_trans_channel": 8, "num_trans_head": 2, "num_proj_channel": 8}

_SPARSE: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
    "motion_num_attention_heads": 2,
}


def _adapter(kind: str, factor: int) -> Part:
    return diffusers(
        "T2IAdapter", channels=[8, 16], num_res_blocks=1, downscale_factor=factor, adapter_type=kind
    )


CONTROL = DDIM.but(KIND, controlnet=controlnet()).called(image=FIRST)

CONTROL_XL = SDXL.but(KIND, controlnet=controlnet(**_XL)).called(image=FIRST)

UNION = CONTROL_XL.but(controlnet=controlnet("ControlNetUnionModel", **_XL, **_UNION)).called(
    image=..., control_image=FIRST, control_mode=2
)

ANIMATED = ANIMATEDIFF.but("control-to-video", controlnet=controlnet()).called(conditioning_frames=SHOTS)

RECIPES: dict[str, Recipe] = {
    "StableDiffusionControlNetPipeline": CONTROL,
    "StableDiffusionControlNetPipeline:part": CONTROL.called(control_guidance_end=0.5),
    "StableDiffusionControlNetPAGPipeline": CONTROL.but(pag_applied_layers=["mid"]),
    "StableDiffusionXLControlNetPipeline": CONTROL_XL,
    "StableDiffusionXLControlNetPAGPipeline": CONTROL_XL,
    "StableDiffusionXLControlNetUnionPipeline": UNION,
    "StableDiffusionControlNetXSPipeline": CONTROL.but(
        controlnet=controlnet_xs(), unet=unet(layers_per_block=2)
    ),
    "StableDiffusionXLControlNetXSPipeline": CONTROL_XL.but(
        unet=unet(40, **XL, layers_per_block=2),
        controlnet=controlnet_xs(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            cross_attention_dim=40,
            use_linear_projection=True,
        ),
    ),
    "StableDiffusionAdapterPipeline": DDIM.but(KIND, adapter=_adapter("full_adapter", 8)).called(image=FIRST),
    "StableDiffusionXLAdapterPipeline": SDXL.but(
        KIND, adapter=_adapter("full_adapter_xl", 16), add_watermarker=...
    ).called(image=FIRST),
    "AnimateDiffControlNetPipeline": ANIMATED,
    "AnimateDiffSparseControlNetPipeline": ANIMATED.but(
        controlnet=controlnet("SparseControlNetModel", **_SPARSE)
    ).called(conditioning_frames=FIRST),
}
