"""HunyuanVideo: from texts, and from pictures that a language model or the network sees."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    clip_autoencoders,
    encoders,
    languages,
    processors,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.families.calls import CLIP, GIVEN
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

TEMPLATE = {"template": "A clip: {}", "crop_start": 8}


def hunyuan_network(name: str = "HunyuanVideoTransformer3DModel", **more: Any) -> Part:
    """HunyuanVideo's transformer, with guidance as an input."""
    values: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "num_layers": 1,
        "num_single_layers": 1,
        "num_refiner_layers": 1,
        "text_embed_dim": 32,
        "pooled_projection_dim": 16,
        "rope_axes_dim": (4, 4, 4),
    }
    return diffusers(name, **(values | more))


HUNYUAN = Recipe(
    "text-to-video",
    {
        "text_encoder": languages.llama(layers=4),
        "tokenizer": tokenizers.llama(),
        "transformer": hunyuan_network(),
        "vae": clip_autoencoders.hunyuan_video(),
        "scheduler": schedulers.flow(7.0),
        "text_encoder_2": encoders.clip(16),
        "tokenizer_2": tokenizers.clip(),
    },
    CLIP | {"prompt_template": TEMPLATE},
)

HUNYUAN_GIVEN = HUNYUAN.but("image-to-video", transformer=hunyuan_network(in_channels=32)).called(image=GIVEN)

FRAMEPACK = HUNYUAN.but(
    "image-to-video",
    transformer=hunyuan_network(
        "HunyuanVideoFramepackTransformer3DModel",
        has_image_proj=True,
        image_proj_dim=16,
        has_clean_x_embedder=True,
    ),
    image_encoder=encoders.siglip(),
    feature_extractor=processors.siglip_pictures(),
).called(image=GIVEN, latent_window_size=2)

LLAVA = HUNYUAN.but(
    "image-to-video",
    text_encoder=visual_languages.llava(layers=4),
    transformer=hunyuan_network(image_condition_type="token_replace"),
    image_processor=processors.clip_pictures(),
).called(
    image=GIVEN,
    guidance_scale=1.0,
    image_embed_interleave=1,
    prompt_template={
        "template": "<|start_header_id|><|end_header_id|><image><|start_header_id|><|end_header_id|>{}"
        "<|start_header_id|><|end_header_id|>",
        "crop_start": 6,
        "image_emb_len": 4,
        "image_emb_start": 3,
        "image_emb_end": 7,
    },
)

RECIPES = {
    "HunyuanVideoPipeline": HUNYUAN,
    "HunyuanSkyreelsImageToVideoPipeline": HUNYUAN_GIVEN.called(true_cfg_scale=3.0, guidance_scale=1.0),
    "HunyuanVideoFramepackPipeline": FRAMEPACK,
    "HunyuanVideoImageToVideoPipeline": LLAVA,
}
