"""CogView 3 and 4, and GLM-Image."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.published.tiny.components import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import QWEN, SHORT, SQUARE, T5
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

_COGVIEW: dict[str, Any] = {
    "num_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "text_embed_dim": 32,
    "time_embed_dim": 8,
    "condition_dim": 4,
    "sample_size": 8,
}

COGVIEW3 = Recipe(
    "text-to-image",
    {
        **T5,
        "vae": autoencoders.kl(16, 1.0),
        "transformer": diffusers("CogView3PlusTransformer2DModel", **_COGVIEW, pos_embed_max_size=8),
        "scheduler": schedulers.cogvideox(4.0),
    },
    SHORT,
)


def cogview4_network(**more: Any) -> Part:
    """CogView 4's transformer."""
    return diffusers("CogView4Transformer2DModel", **_COGVIEW, rope_axes_dim=(8, 8), **more)


COGVIEW4 = COGVIEW3.but(
    text_encoder=languages.glm(),
    tokenizer=tokenizers.llama(side="left"),
    transformer=cogview4_network(),
    scheduler=schedulers.flow(
        use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75, time_shift_type="linear"
    ),
)

GLM_IMAGE = Recipe(
    "text-to-image",
    {
        "tokenizer": tokenizers.byt5(),
        "processor": QWEN,
        "text_encoder": encoders.byt5(),
        "vision_language_encoder": languages.glm(),
        "vae": autoencoders.flux(latents_mean=[0.1] * 16, latents_std=[1.2] * 16),
        "transformer": diffusers(
            "GlmImageTransformer2DModel",
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            text_embed_dim=32,
            time_embed_dim=16,
            condition_dim=8,
            prior_vq_quantizer_codebook_size=64,
        ),
        "scheduler": schedulers.dynamic(base_shift=0.25, max_shift=0.75, time_shift_type="linear"),
    },
    SQUARE
    | {
        "prompt": "a red 'cat'",
        "prior_token_ids": Part(lambda: importlib.import_module("torch").arange(16)[None]),
    },
)
"""Tokens of the picture are given, and the model that would draw them is a language model that is not called."""

RECIPES = {
    "CogView3PlusPipeline": COGVIEW3,
    "CogView4Pipeline": COGVIEW4,
    "GlmImagePipeline": GLM_IMAGE,
}
