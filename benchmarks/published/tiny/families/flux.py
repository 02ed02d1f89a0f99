"""Flux and its relatives: transformers over packed pictures."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    autoencoders,
    encoders,
    languages,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.families.calls import PACKED, QWEN, T5
from benchmarks.published.tiny.parts import Part, Recipe, diffusers


def flux_network(name: str = "FluxTransformer2DModel", **more: Any) -> Part:
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
        "transformer": flux_network(guidance_embeds=True),
    },
    PACKED | {"guidance_scale": 3.5},
)

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
    PACKED | {"guidance_scale": 4.0},
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
    PACKED | {"guidance_scale": 4.0, "max_sequence_length": 256},
)

LONGCAT = OVIS.but(
    text_encoder=visual_languages.qwen_vl(),
    text_processor=QWEN,
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
    PACKED | {"guidance_scale": 4.0, "text_encoder_out_layers": (1, 2, 3), "max_sequence_length": 128},
)

RECIPES = {
    "FluxPipeline": FLUX,
    "FluxPipeline:schnell": FLUX.but(transformer=flux_network(), scheduler=schedulers.flow(1.0)),
    "ChromaPipeline": CHROMA,
    "OvisImagePipeline": OVIS,
    "LongCatImagePipeline": LONGCAT,
    "Flux2Pipeline": FLUX2.but(text_encoder=visual_languages.mistral3()).called(max_sequence_length=512),
    "Flux2KleinPipeline": FLUX2,
    "Flux2KleinKVPipeline": FLUX2.called(guidance_scale=...),
}
