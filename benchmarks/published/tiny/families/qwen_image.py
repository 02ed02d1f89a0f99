"""Qwen-Image and others that read Qwen."""

from __future__ import annotations

from benchmarks.published.tiny.components import (
    clip_autoencoders,
    processors,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.families.calls import HEADS, PACKED, QWEN, SQUARE
from benchmarks.published.tiny.parts import Recipe, diffusers

QWEN_IMAGE = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02),
        "vae": clip_autoencoders.qwen_image(),
        "text_encoder": visual_languages.qwen_vl(),
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
    PACKED | {"true_cfg_scale": 3.0, "negative_prompt": "grey", "max_sequence_length": 512},
)

KREA2 = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": clip_autoencoders.qwen_image(),
        "text_encoder": visual_languages.qwen3_vl(name="Qwen3VLModel"),
        "tokenizer": QWEN,
        "transformer": diffusers(
            "Krea2Transformer2DModel",
            **HEADS,
            num_layers=2,
            num_key_value_heads=1,
            intermediate_size=64,
            timestep_embed_dim=16,
            text_hidden_dim=32,
            num_text_layers=2,
            text_num_attention_heads=2,
            text_num_key_value_heads=2,
            text_intermediate_size=64,
            num_layerwise_text_blocks=1,
            num_refiner_text_blocks=1,
            axes_dims_rope=(4, 6, 6),
        ),
        "text_encoder_select_layers": (1, 2),
    },
    SQUARE | {"max_sequence_length": 128},
)

NUCLEUS = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "NucleusMoEImageTransformer2DModel",
            out_channels=16,
            num_layers=5,
            attention_head_dim=16,
            num_attention_heads=4,
            joint_attention_dim=32,
            axes_dims_rope=(4, 6, 6),
            num_experts=2,
            moe_intermediate_dim=16,
            capacity_factors=2.0,
        ),
        "scheduler": schedulers.dynamic(),
        "vae": clip_autoencoders.qwen_image(),
        "text_encoder": visual_languages.qwen3_vl(),
        "processor": QWEN,
    },
    SQUARE | {"return_index": -2},
)

QWEN_IMAGE21 = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": clip_autoencoders.qwen_image21(),
        "text_encoder": visual_languages.qwen3_vl(),
        "processor": processors.qwen3_vl(),
        "transformer": diffusers(
            "QwenImage21Transformer2DModel",
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            context_in_dim=32,
            axes_dims_rope=(4, 6, 6),
        ),
    },
    SQUARE | {"true_cfg_scale": 3.0, "negative_prompt": "grey"},
).called(guidance_scale=...)

RECIPES = {
    "QwenImagePipeline": QWEN_IMAGE,
    "Krea2Pipeline": KREA2,
    "NucleusMoEImagePipeline": NUCLEUS,
    "QwenImage21Pipeline": QWEN_IMAGE21.needing("torchvision"),
}
