"""Transformers over clips, a family each: CogVideoX, HunyuanVideo, Mochi."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.parts import Part, Recipe, diffusers, picture

CALL = {
    "prompt": "a red cat",
    "height": 32,
    "width": 48,
    "num_frames": 5,
    "num_inference_steps": 3,
    "guidance_scale": 4.0,
    "max_sequence_length": 32,
}
GIVEN = picture(32, 48)


def cogvideox(name: str = "CogVideoXTransformer3DModel", **more: Any) -> Part:
    """CogVideoX's transformer; 2B has sinusoidal positions, 5B rotary ones."""
    values: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "time_embed_dim": 8,
        "text_embed_dim": 32,
        "num_layers": 2,
        "sample_width": 6,
        "sample_height": 4,
        "sample_frames": 5,
        "max_text_seq_length": 32,
    }
    return diffusers(name, **(values | more))


COGVIDEOX = Recipe(
    "text-to-video",
    {
        "tokenizer": tokenizers.t5(),
        "text_encoder": encoders.t5(),
        "vae": autoencoders.cogvideox(),
        "transformer": cogvideox(),
        "scheduler": schedulers.cogvideox(),
    },
    CALL,
)

TEMPLATE = {"template": "A clip: {}", "crop_start": 8}


def hunyuan_video(name: str = "HunyuanVideoTransformer3DModel", **more: Any) -> Part:
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
        "transformer": hunyuan_video(),
        "vae": autoencoders.hunyuan_video(),
        "scheduler": schedulers.flow(7.0),
        "text_encoder_2": encoders.clip(16),
        "tokenizer_2": tokenizers.clip(),
    },
    CALL | {"prompt_template": TEMPLATE},
)

MOCHI = Recipe(
    "text-to-video",
    {
        "scheduler": schedulers.flow(invert_sigmas=True),
        "vae": autoencoders.mochi(),
        "text_encoder": encoders.t5(),
        "tokenizer": tokenizers.t5(),
        "transformer": diffusers(
            "MochiTransformer3DModel",
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            pooled_projection_dim=16,
            text_embed_dim=32,
            time_embed_dim=4,
            max_sequence_length=32,
        ),
        "force_zeros_for_empty_prompt": False,
    },
    CALL | {"num_frames": 7},
)

RECIPES = {
    "CogVideoXPipeline": COGVIDEOX,
    "CogVideoXPipeline:5b": COGVIDEOX.but(
        transformer=cogvideox(use_rotary_positional_embeddings=True), scheduler=schedulers.cogvideox(1.0)
    ),
    "HunyuanVideoPipeline": HUNYUAN,
    "MochiPipeline": MOCHI,
}
