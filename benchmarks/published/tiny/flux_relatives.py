"""Relatives of Flux: transformers over packed pictures with other texts."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.flux import CALL
from benchmarks.published.tiny.parts import Recipe, diffusers

T5: dict[str, Any] = {"text_encoder": encoders.t5(), "tokenizer": tokenizers.t5()}
QWEN = tokenizers.qwen()
FEW: dict[str, Any] = {
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
}
ROPE = {"axes_dims_rope": (4, 6, 6)}

CHROMA = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.flow(1.0),
        "vae": autoencoders.flux(),
        **T5,
        "transformer": diffusers(
            "ChromaTransformer2DModel",
            **FEW,
            **ROPE,
            in_channels=64,
            joint_attention_dim=32,
            approximator_num_channels=8,
            approximator_hidden_dim=16,
            approximator_layers=1,
        ),
    },
    CALL | {"guidance_scale": 4.0},
)

BRIA = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.kl(),
        **T5,
        "transformer": diffusers(
            "BriaTransformer2DModel", **FEW, **ROPE, in_channels=16, joint_attention_dim=32
        ),
    },
    CALL | {"guidance_scale": 4.0},
)

FIBO = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.wan_5b(),
        "text_encoder": languages.smollm3(),
        "tokenizer": tokenizers.llama(),
        "transformer": diffusers(
            "BriaFiboTransformer2DModel",
            **FEW,
            **ROPE,
            in_channels=48,
            joint_attention_dim=64,
            text_encoder_dim=32,
        ),
    },
    CALL | {"guidance_scale": 4.0},
)

OVIS = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.flux(),
        "text_encoder": languages.qwen3(),
        "tokenizer": QWEN,
        "transformer": diffusers("OvisImageTransformer2DModel", **FEW, **ROPE, joint_attention_dim=32),
    },
    CALL | {"guidance_scale": 4.0, "max_sequence_length": 256},
)

LONGCAT = OVIS.but(
    text_encoder=languages.qwen_vl(),
    text_processor=None,
    transformer=diffusers(
        "LongCatImageTransformer2DModel", **FEW, **ROPE, joint_attention_dim=32, pooled_projection_dim=32
    ),
).called(enable_prompt_rewrite=False, max_sequence_length=...)

FLUX2 = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.flux2(),
        "text_encoder": languages.qwen3(name="Qwen3ForCausalLM"),
        "tokenizer": QWEN,
        "transformer": diffusers(
            "Flux2Transformer2DModel",
            **FEW,
            in_channels=32,
            joint_attention_dim=96,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
        ),
    },
    CALL | {"guidance_scale": 4.0, "text_encoder_out_layers": (1, 2, 3), "max_sequence_length": 128},
)

RECIPES = {
    "ChromaPipeline": CHROMA,
    "BriaPipeline": BRIA,
    "BriaFiboPipeline": FIBO,
    "OvisImagePipeline": OVIS,
    "LongCatImagePipeline": LONGCAT,
    "Flux2Pipeline": FLUX2.but(text_encoder=languages.mistral3()).called(max_sequence_length=512),
    "Flux2KleinPipeline": FLUX2,
    "Flux2KleinKVPipeline": FLUX2.called(guidance_scale=...),
}
