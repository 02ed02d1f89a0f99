"""Relatives of Stable Diffusion: its parts with another guidance, another scheduler, a picture to move."""

from __future__ import annotations

from benchmarks.published.tiny import autoencoders, encoders, schedulers, tokenizers
from benchmarks.published.tiny.parts import Recipe, diffusers, picture
from benchmarks.published.tiny.unets import ANIMATEDIFF, CLIP, SD, SDXL, unet

DDIM = SD.but(scheduler=schedulers.ddim())
GIVEN = picture(64, 64)

GUIDANCE = {
    "LatentConsistencyModelPipeline": SD.but(
        unet=unet(time_cond_proj_dim=16), scheduler=diffusers("LCMScheduler", **schedulers.BETAS)
    ),
    "StableDiffusionPAGPipeline": DDIM.but(requires_safety_checker=False, pag_applied_layers=["mid"]),
    "StableDiffusionXLPAGPipeline": SDXL,
    "AnimateDiffPAGPipeline": ANIMATEDIFF,
    "StableDiffusionSAGPipeline": DDIM,
    "StableDiffusionPanoramaPipeline": DDIM.called(height=128, width=128),
    "StableDiffusionParadigmsPipeline": SD.but(
        scheduler=diffusers("DDIMParallelScheduler", **schedulers.BETAS, clip_sample=False)
    ),
    "StableDiffusionAttendAndExcitePipeline": DDIM.called(
        token_indices=[2], attn_res=(8, 8), max_iter_to_alter=1
    ),
    "SemanticStableDiffusionPipeline": DDIM.called(editing_prompt=["blue"], edit_warmup_steps=1),
    "StableDiffusionGLIGENPipeline": DDIM.but(unet=unet(attention_type="gated")).called(
        gligen_phrases=["a cat"], gligen_boxes=[[0.1, 0.1, 0.6, 0.7]]
    ),
    "StableDiffusionLDM3DPipeline": DDIM.but(
        vae=autoencoders.kl(in_channels=6, out_channels=6), image_encoder=None
    ),
}

XL_ZERO = SDXL.but("text-to-video", scheduler=schedulers.ddim()).called(video_length=3, t0=0, t1=1)
ZERO = DDIM.but("text-to-video").called(video_length=3, t0=0, t1=1)

I2VGEN = Recipe(
    "image-to-video",
    {
        "vae": autoencoders.kl(),
        "text_encoder": encoders.clip(16),
        "tokenizer": tokenizers.clip(),
        "image_encoder": encoders.clip_vision(16),
        "feature_extractor": encoders.clip_pictures(),
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
    CLIP | {"image": GIVEN, "target_fps": 8, "clip_skip": None},
)

RECIPES = GUIDANCE | {
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
    ).called(image=GIVEN),
    "TextToVideoZeroPipeline": ZERO,
    "TextToVideoZeroSDXLPipeline": XL_ZERO,
}
