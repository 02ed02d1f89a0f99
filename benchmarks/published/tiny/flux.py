"""Transformers over packed pictures: Flux, Stable Diffusion 3, Qwen-Image."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

CALL = {"prompt": "a red cat", "height": 64, "width": 64, "num_inference_steps": 3, "max_sequence_length": 32}


def flux(name: str = "FluxTransformer2DModel", **more: Any) -> Part:
    """Flux's transformer: double and single blocks, 16 channels in patches of 2 x 2."""
    values: dict[str, Any] = {
        "in_channels": 64,
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 32,
        "pooled_projection_dim": 16,
        "axes_dims_rope": (4, 6, 6),
    }
    return diffusers(name, **(values | more))


FLUX = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.flux(),
        "text_encoder": encoders.clip(16),
        "tokenizer": tokenizers.clip(),
        "text_encoder_2": encoders.t5(),
        "tokenizer_2": tokenizers.t5(),
        "transformer": flux(guidance_embeds=True),
    },
    CALL | {"guidance_scale": 3.5},
)

SD3 = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "SD3Transformer2DModel",
            sample_size=8,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=32,
            pooled_projection_dim=32,
            pos_embed_max_size=8,
        ),
        "scheduler": schedulers.flow(3.0),
        "vae": autoencoders.kl_without_quantization(16, 1.5305, 0.0609),
        "text_encoder": encoders.clip(16, projection=16),
        "tokenizer": tokenizers.clip(),
        "text_encoder_2": encoders.clip(16, projection=16),
        "tokenizer_2": tokenizers.clip(),
        "text_encoder_3": encoders.t5(),
        "tokenizer_3": tokenizers.t5(),
    },
    CALL | {"guidance_scale": 5.0},
)

QWEN_IMAGE = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02),
        "vae": autoencoders.qwen_image(),
        "text_encoder": languages.qwen_vl(),
        "tokenizer": tokenizers.qwen(),
        "transformer": diffusers(
            "QwenImageTransformer2DModel",
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 6, 6),
        ),
    },
    CALL | {"true_cfg_scale": 3.0, "negative_prompt": "grey", "max_sequence_length": 512},
)

RECIPES = {
    "FluxPipeline": FLUX,
    "FluxPipeline:schnell": FLUX.but(transformer=flux(), scheduler=schedulers.flow(1.0)),
    "StableDiffusion3Pipeline": SD3,
    "QwenImagePipeline": QWEN_IMAGE,
}
