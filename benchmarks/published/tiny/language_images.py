"""Transformers over pictures that read many layers of a language model."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.images import CALL
from benchmarks.published.tiny.more_images import QWEN, Z_IMAGE
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

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
        "vae": autoencoders.qwen_image(),
        "text_encoder": languages.qwen3_vl(),
        "processor": QWEN,
    },
    CALL | {"return_index": -2},
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
        "text_encoder": languages.qwen3_vl(),
        "tokenizer": QWEN,
        "processor": None,
        "vae": autoencoders.tiny(),
        "unet": diffusers("DreamLiteUNetModel", **_DREAM),
        "scheduler": schedulers.flow(3.0),
    },
    CALL,
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
        "text_encoder": languages.qwen3_vl(layers=36, name="Qwen3VLModel"),
        "tokenizer": QWEN,
        "transformer": diffusers("Ideogram4Transformer2DModel", **_IDEOGRAM),
        "unconditional_transformer": diffusers("Ideogram4Transformer2DModel", **_IDEOGRAM),
    },
    CALL | {"max_sequence_length": 64},
)

GLM_IMAGE = Recipe(
    "text-to-image",
    {
        "tokenizer": tokenizers.byt5(),
        "processor": None,
        "text_encoder": encoders.byt5(),
        "vision_language_encoder": None,
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
    CALL
    | {
        "prompt": "a red 'cat'",
        "prior_token_ids": Part(lambda: importlib.import_module("torch").arange(16)[None]),
    },
)
"""Tokens of the picture are given: the language model that draws them is no part of the diffusion."""

FIBO2 = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "BriaFibo2Transformer2DModel",
            in_channels=8,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            cap_feat_dim=96,
            injection_layer_ids=(1,),
            perceiver_num_layers=1,
            min_num_gist_tokens=4,
            max_num_gist_tokens=8,
            gist_step=4,
            gist_min_text_len=8,
            gist_max_text_len=64,
            axes_dims=(4, 6, 6),
            axes_lens=(2048, 64, 64),
        ),
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.flux2(),
        "text_encoder": languages.qwen3_vl(),
        "processor": QWEN,
    },
    CALL | {"negative_prompt": "grey"},
)

RECIPES = {
    "BriaFibo2Pipeline": FIBO2.limited(text_encoder_out_layers=((0, 1, 2), (1, 2, 3))),
    "GlmImagePipeline": GLM_IMAGE,
    "NucleusMoEImagePipeline": NUCLEUS,
    "Ideogram4Pipeline": IDEOGRAM.called(guidance_scale=..., guidance_schedule=(7.0, 7.0, 3.0)),
    "DreamLitePipeline": DREAM,
    "DreamLiteMobilePipeline": DREAM.called(guidance_scale=...),
    "ZImageOmniPipeline": Z_IMAGE.but(siglip=None, siglip_processor=None),
}
