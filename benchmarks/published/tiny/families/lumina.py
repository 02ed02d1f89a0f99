"""Lumina, Z-Image and OmniGen: text and picture in one sequence."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    autoencoders,
    encoders,
    languages,
    processors,
    schedulers,
    tokenizers,
)
from benchmarks.published.tiny.families.calls import FLUX_SPACE, GEMMA2, QWEN, SHORT, SQUARE
from benchmarks.published.tiny.parts import Recipe, diffusers

LUMINA = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "LuminaNextDiT2DModel",
            sample_size=8,
            hidden_size=32,
            num_layers=2,
            num_attention_heads=2,
            num_kv_heads=1,
            multiple_of=16,
            cross_attention_dim=32,
        ),
        "scheduler": schedulers.flow(1.0),
        "vae": autoencoders.kl(scale=0.13025),
        "text_encoder": languages.gemma(),
        "tokenizer": tokenizers.gemma(),
    },
    SHORT | {"clean_caption": False},
)

LUMINA2 = LUMINA.but(
    **GEMMA2,
    transformer=diffusers(
        "Lumina2Transformer2DModel",
        sample_size=8,
        hidden_size=32,
        num_layers=2,
        num_refiner_layers=1,
        num_attention_heads=2,
        num_kv_heads=1,
        multiple_of=16,
        axes_dim_rope=(4, 6, 6),
        axes_lens=(256, 32, 32),
        cap_feat_dim=32,
    ),
    scheduler=schedulers.flow(6.0),
    vae=FLUX_SPACE,
).called(clean_caption=..., system_prompt="A picture", max_sequence_length=64)

_Z: dict[str, Any] = {
    "dim": 32,
    "n_layers": 2,
    "n_refiner_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 2,
    "cap_feat_dim": 32,
    "axes_dims": [4, 6, 6],
    "axes_lens": [512, 64, 64],
}

Z_IMAGE = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.flow(3.0),
        "vae": FLUX_SPACE,
        "text_encoder": languages.qwen3(),
        "tokenizer": QWEN,
        "transformer": diffusers("ZImageTransformer2DModel", **_Z),
    },
    SQUARE | {"max_sequence_length": 128},
)

OMNIGEN = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "OmniGenTransformer2DModel",
            hidden_size=32,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=64,
            num_layers=2,
            pad_token_id=3,
            vocab_size=tokenizers.WORDS,
            max_position_embeddings=1024,
            time_step_dim=8,
            rope_scaling={"long_factor": [1.0] * 4, "short_factor": [1.0] * 4},
        ),
        "scheduler": schedulers.flow(invert_sigmas=True),
        "vae": autoencoders.kl(scale=0.13025),
        "tokenizer": tokenizers.llama(),
    },
    SQUARE,
)

RECIPES = {
    "LuminaPipeline": LUMINA,
    "Lumina2Pipeline": LUMINA2,
    "ZImagePipeline": Z_IMAGE,
    "ZImageOmniPipeline": Z_IMAGE.but(
        siglip=encoders.siglip2(), siglip_processor=processors.siglip2_pictures()
    ),
    "OmniGenPipeline": OMNIGEN.needing("torchvision"),
}
