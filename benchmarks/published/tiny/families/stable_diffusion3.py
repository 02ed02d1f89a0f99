"""Stable Diffusion 3 and HiDream: texts of CLIP and T5 together."""

from __future__ import annotations

from benchmarks.published.tiny.components import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import FLUX_SPACE, PACKED, SHORT
from benchmarks.published.tiny.parts import Recipe, diffusers

SD3_NETWORK = {
    "sample_size": 8,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 32,
    "caption_projection_dim": 32,
    "pooled_projection_dim": 32,
    "pos_embed_max_size": 8,
}
"""Of a transformer, and of a ControlNet beside it."""

SD3 = Recipe(
    "text-to-image",
    {
        "transformer": diffusers("SD3Transformer2DModel", num_layers=2, **SD3_NETWORK),
        "scheduler": schedulers.flow(3.0),
        "vae": autoencoders.kl_without_quantization(16, 1.5305, 0.0609),
        "text_encoder": encoders.clip(16, projection=16),
        "tokenizer": tokenizers.clip(),
        "text_encoder_2": encoders.clip(16, projection=16),
        "tokenizer_2": tokenizers.clip(),
        "text_encoder_3": encoders.t5(),
        "tokenizer_3": tokenizers.t5(),
    },
    PACKED | {"guidance_scale": 5.0},
)

HIDREAM = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.flow(3.0),
        "vae": FLUX_SPACE,
        "text_encoder": encoders.clip(16, projection=16, length=248),
        "tokenizer": tokenizers.clip(),
        "text_encoder_2": encoders.clip(16, projection=16, length=248),
        "tokenizer_2": tokenizers.clip(),
        "text_encoder_3": encoders.t5(),
        "tokenizer_3": tokenizers.t5(),
        "text_encoder_4": languages.llama(name="LlamaForCausalLM"),
        "tokenizer_4": tokenizers.llama(),
        "transformer": diffusers(
            "HiDreamImageTransformer2DModel",
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            caption_channels=[32, 32],
            text_emb_dim=32,
            num_routed_experts=2,
            num_activated_experts=1,
            axes_dims_rope=(8, 4, 4),
            max_resolution=(8, 8),
            llama_layers=[0, 1],
            force_inference_output=True,
        ),
    },
    SHORT,
)

RECIPES = {
    "StableDiffusion3Pipeline": SD3,
    "StableDiffusion3PAGPipeline": SD3.but(pag_applied_layers="blocks.1"),
    "HiDreamImagePipeline": HIDREAM.limited(default_sample_size=8),
}
