"""Families of UNets in the latent space of Stable Diffusion: pictures, and clips whose frames are pictures."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, schedulers, tokenizers
from benchmarks.published.tiny.parts import Part, Recipe, diffusers, picture

CALL = {"prompt": "a red cat", "num_inference_steps": 3, "guidance_scale": 5.0}
PICTURE = CALL | {"height": 64, "width": 64}
CLIP = PICTURE | {"num_frames": 3}


def unet(text: int = 16, **more: Any) -> Part:
    """Stable Diffusion's UNet with two resolutions, of which the finer attends to the text."""
    values: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": text,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return diffusers("UNet2DConditionModel", **(values | more))


SD = Recipe(
    "text-to-image",
    {
        "vae": autoencoders.kl(),
        "text_encoder": encoders.clip(16),
        "tokenizer": tokenizers.clip(),
        "unet": unet(),
        "scheduler": schedulers.pndm(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    },
    PICTURE,
)

SD2 = SD.but(
    text_encoder=encoders.clip(24),
    unet=unet(24, use_linear_projection=True, attention_head_dim=[2, 4]),
    scheduler=schedulers.zero_snr(),
)

SDXL = Recipe(
    "text-to-image",
    {
        "vae": autoencoders.kl(scale=0.13025),
        "text_encoder": encoders.clip(16),
        "text_encoder_2": encoders.clip(24, projection=16),
        "tokenizer": tokenizers.clip(),
        "tokenizer_2": tokenizers.clip(),
        "unet": unet(
            40,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=64,
        ),
        "scheduler": schedulers.euler(),
        "add_watermarker": False,
    },
    PICTURE,
)

MODELSCOPE = Recipe(
    "text-to-video",
    {
        "vae": autoencoders.kl(),
        "text_encoder": encoders.clip(24),
        "tokenizer": tokenizers.clip(),
        "unet": diffusers(
            "UNet3DConditionModel",
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            cross_attention_dim=24,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        "scheduler": schedulers.ddim(),
    },
    CLIP,
)

_MOTION: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "motion_layers_per_block": 1,
    "motion_num_attention_heads": 2,
    "motion_norm_num_groups": 4,
}
MOTION = diffusers("MotionAdapter", **_MOTION)
MOTION_XL = diffusers("MotionAdapter", **_MOTION, use_motion_mid_block=False)

ANIMATEDIFF = Recipe(
    "text-to-video",
    {
        "vae": autoencoders.kl(),
        "text_encoder": encoders.clip(16),
        "tokenizer": tokenizers.clip(),
        "unet": unet(),
        "motion_adapter": MOTION,
        "scheduler": schedulers.animatediff(),
    },
    CLIP,
)

SVD = Recipe(
    "image-to-video",
    {
        "vae": autoencoders.temporal_decoder(),
        "image_encoder": encoders.clip_vision(16),
        "unet": diffusers(
            "UNetSpatioTemporalConditionModel",
            sample_size=8,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
            cross_attention_dim=16,
            num_attention_heads=(2, 4),
            num_frames=3,
        ),
        "scheduler": schedulers.edm(),
        "feature_extractor": encoders.clip_pictures(),
    },
    {
        "image": picture(64, 64),
        "height": 64,
        "width": 64,
        "num_frames": 3,
        "num_inference_steps": 3,
        "fps": 7,
    },
)

RECIPES = {
    "StableDiffusionPipeline": SD,
    "StableDiffusionPipeline:ddim": SD.but(scheduler=schedulers.ddim()),
    "StableDiffusionPipeline:2": SD2,
    "StableDiffusionXLPipeline": SDXL,
    "TextToVideoSDPipeline": MODELSCOPE,
    "AnimateDiffPipeline": ANIMATEDIFF,
    "AnimateDiffSDXLPipeline": SDXL.but(
        "text-to-video", motion_adapter=MOTION_XL, add_watermarker=...
    ).called(num_frames=3),
    "StableVideoDiffusionPipeline": SVD,
}
