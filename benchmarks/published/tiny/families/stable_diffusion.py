"""Stable Diffusion 1, 2 and XL, and their relatives by guidance."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import autoencoders, encoders, processors, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import PICTURE
from benchmarks.published.tiny.parts import Part, Recipe, diffusers, picture


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

XL: dict[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 64,
}
"""What SDXL's UNet has in the place of Stable Diffusion's: no text at the finer resolution, and sizes beside the time."""

SDXL = Recipe(
    "text-to-image",
    {
        "vae": autoencoders.kl(scale=0.13025),
        "text_encoder": encoders.clip(16),
        "text_encoder_2": encoders.clip(24, projection=16),
        "tokenizer": tokenizers.clip(),
        "tokenizer_2": tokenizers.clip(),
        "unet": unet(40, **XL),
        "scheduler": schedulers.euler(),
        "add_watermarker": False,
    },
    PICTURE,
)

DDIM = SD.but(scheduler=schedulers.ddim())

LCM = SD.but(unet=unet(time_cond_proj_dim=16), scheduler=diffusers("LCMScheduler", **schedulers.BETAS))

BOXES = SD.but(
    scheduler=schedulers.ddim(),
    processor=processors.clip_processor(),
    image_encoder=encoders.clip_vision(16, projection=16),
    image_project=diffusers(
        "pipelines.stable_diffusion.clip_image_project_model:CLIPImageProjection", hidden_size=16
    ),
    unet=unet(16, attention_type="gated-text-image"),
    feature_extractor=None,
).called(
    gligen_phrases=["a cat"],
    gligen_images=Part(lambda: [picture(32, 32)()]),
    gligen_boxes=[[0.1, 0.1, 0.6, 0.7]],
)

RECIPES = {
    "StableDiffusionPipeline": SD,
    "StableDiffusionPipeline:ddim": SD.but(scheduler=schedulers.ddim()),
    "StableDiffusionPipeline:2": SD2,
    "StableDiffusionXLPipeline": SDXL,
    "LatentConsistencyModelPipeline": LCM,
    "StableDiffusionPAGPipeline": DDIM.but(requires_safety_checker=False, pag_applied_layers=["mid"]),
    "StableDiffusionXLPAGPipeline": SDXL,
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
    "StableDiffusionGLIGENTextImagePipeline": BOXES,
}
