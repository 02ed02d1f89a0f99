"""HunyuanVideo 1.5 and HunyuanImage: texts of Qwen 2.5 VL and of bytes."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    autoencoders,
    clip_autoencoders,
    encoders,
    processors,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.families.calls import CLIP, GIVEN, HEADS, QWEN, SQUARE
from benchmarks.published.tiny.parts import Recipe, diffusers

_HUNYUAN15: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 1,
    "num_refiner_layers": 1,
    "text_embed_dim": 32,
    "text_embed_2_dim": 32,
    "image_embed_dim": 16,
    "rope_axes_dim": (4, 4, 4),
    "in_channels": 17,
    "out_channels": 8,
    "target_size": 64,
}

HUNYUAN15 = Recipe(
    "text-to-video",
    {
        "text_encoder": visual_languages.qwen_vl_text(layers=4),
        "tokenizer": QWEN,
        "transformer": diffusers("HunyuanVideo15Transformer3DModel", **_HUNYUAN15, task_type="t2v"),
        "vae": clip_autoencoders.hunyuan_video15(),
        "scheduler": schedulers.flow(7.0),
        "text_encoder_2": encoders.byt5(),
        "tokenizer_2": tokenizers.byt5(256),
        "guider": diffusers("ClassifierFreeGuidance", guidance_scale=4.0),
    },
    CLIP,
).called(guidance_scale=..., max_sequence_length=...)

HUNYUAN_IMAGE = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.flow(5.0),
        "vae": autoencoders.hunyuan_image(),
        "text_encoder": visual_languages.qwen_vl(layers=4),
        "tokenizer": QWEN,
        "text_encoder_2": encoders.byt5(),
        "tokenizer_2": tokenizers.byt5(),
        "transformer": diffusers(
            "HunyuanImageTransformer2DModel",
            **HEADS,
            in_channels=16,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            text_embed_dim=32,
            text_embed_2_dim=32,
            rope_axes_dim=(8, 8),
        ),
    },
    SQUARE,
).called(guidance_scale=...)

RECIPES = {
    "HunyuanVideo15Pipeline": HUNYUAN15,
    "HunyuanVideo15ImageToVideoPipeline": HUNYUAN15.but(
        "image-to-video",
        transformer=diffusers("HunyuanVideo15Transformer3DModel", **_HUNYUAN15, task_type="i2v"),
        image_encoder=encoders.siglip(),
        feature_extractor=processors.siglip_pictures(),
    ).called(image=GIVEN, height=..., width=...),
    "HunyuanImagePipeline": HUNYUAN_IMAGE,
}
