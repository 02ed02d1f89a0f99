"""UNets over clips in Stable Diffusion's latent space, whose frames are pictures."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    autoencoders,
    clip_autoencoders,
    encoders,
    processors,
    schedulers,
    tokenizers,
)
from benchmarks.published.tiny.families.calls import FIRST, FRAMES
from benchmarks.published.tiny.families.stable_diffusion import DDIM, SDXL, unet
from benchmarks.published.tiny.parts import Recipe, diffusers, picture

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
    FRAMES,
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
    FRAMES,
)

SVD = Recipe(
    "image-to-video",
    {
        "vae": clip_autoencoders.temporal_decoder(),
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
        "feature_extractor": processors.clip_pictures(),
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

XL_ZERO = SDXL.but("text-to-video", scheduler=schedulers.ddim()).called(video_length=3, t0=0, t1=1)

ZERO = DDIM.but("text-to-video").called(video_length=3, t0=0, t1=1)

I2VGEN = Recipe(
    "image-to-video",
    {
        "vae": autoencoders.kl(),
        "text_encoder": encoders.clip(16),
        "tokenizer": tokenizers.clip(),
        "image_encoder": encoders.clip_vision(16),
        "feature_extractor": processors.clip_pictures(),
        "unet": diffusers(
            "I2VGenXLUNet",
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        "scheduler": schedulers.ddim(prediction_type="v_prediction"),
    },
    FRAMES | {"image": FIRST, "target_fps": 8, "clip_skip": None},
)

RECIPES = {
    "TextToVideoSDPipeline": MODELSCOPE,
    "AnimateDiffPipeline": ANIMATEDIFF,
    "AnimateDiffSDXLPipeline": SDXL.but(
        "text-to-video", motion_adapter=MOTION_XL, add_watermarker=...
    ).called(num_frames=3),
    "StableVideoDiffusionPipeline": SVD,
    "AnimateDiffPAGPipeline": ANIMATEDIFF,
    "I2VGenXLPipeline": I2VGEN,
    "PIAPipeline": ANIMATEDIFF.but(
        "image-to-video",
        motion_adapter=diffusers(
            "MotionAdapter",
            block_out_channels=(8, 16),
            motion_layers_per_block=1,
            motion_num_attention_heads=2,
            motion_norm_num_groups=4,
            conv_in_channels=9,
        ),
    ).called(image=FIRST),
    "TextToVideoZeroPipeline": ZERO,
    "TextToVideoZeroSDXLPipeline": XL_ZERO,
}
