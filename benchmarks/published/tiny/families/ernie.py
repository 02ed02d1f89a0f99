"""Ernie, Ideogram and DreamLite: texts of visual language models."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import autoencoders, schedulers, visual_languages
from benchmarks.published.tiny.families.calls import QWEN, SQUARE
from benchmarks.published.tiny.parts import Recipe, diffusers

ERNIE = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "ErnieImageTransformer2DModel",
            hidden_size=32,
            num_attention_heads=2,
            num_layers=2,
            ffn_hidden_size=64,
            in_channels=32,
            out_channels=32,
            text_in_dim=32,
            rope_axes_dim=(4, 6, 6),
        ),
        "vae": autoencoders.flux2(),
        "text_encoder": visual_languages.mistral3(name="Mistral3Model"),
        "tokenizer": QWEN,
        "scheduler": schedulers.flow(3.0),
    },
    SQUARE | {"use_pe": False},
)

_DREAM: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16, 16),
    "layers_per_block": 1,
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}

DREAM = Recipe(
    "text-to-image",
    {
        "text_encoder": visual_languages.qwen3_vl(),
        "tokenizer": QWEN,
        "processor": QWEN,
        "vae": autoencoders.tiny(),
        "unet": diffusers("DreamLiteUNetModel", **_DREAM),
        "scheduler": schedulers.flow(3.0),
    },
    SQUARE,
)

_IDEOGRAM: dict[str, Any] = {
    "in_channels": 32,
    "num_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "adaln_dim": 16,
    "llm_features_dim": 13 * 32,
    "mrope_section": (4, 2, 2),
}

IDEOGRAM = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.flow(1.0),
        "vae": autoencoders.flux2(),
        "text_encoder": visual_languages.qwen3_vl(layers=36, name="Qwen3VLModel"),
        "tokenizer": QWEN,
        "transformer": diffusers("Ideogram4Transformer2DModel", **_IDEOGRAM),
        "unconditional_transformer": diffusers("Ideogram4Transformer2DModel", **_IDEOGRAM),
    },
    SQUARE | {"max_sequence_length": 64},
)

RECIPES = {
    "ErnieImagePipeline": ERNIE,
    "Ideogram4Pipeline": IDEOGRAM.called(
        num_inference_steps=4, guidance_scale=..., guidance_schedule=(7.0, 7.0, 7.0, 3.0)
    ),
    "DreamLitePipeline": DREAM,
    "DreamLiteMobilePipeline": DREAM.called(guidance_scale=...),
}
