"""PRX, of latents and of pixels, and AuraFlow."""

from __future__ import annotations

from benchmarks.published.tiny.components import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import FLUX_SPACE, QWEN, SHORT, SQUARE
from benchmarks.published.tiny.parts import Recipe, diffusers

AURA = Recipe(
    "text-to-image",
    {
        "tokenizer": tokenizers.t5(),
        "text_encoder": encoders.umt5(),
        "vae": autoencoders.kl(scale=0.13025),
        "transformer": diffusers(
            "AuraFlowTransformer2DModel",
            sample_size=8,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pos_embed_max_size=64,
        ),
        "scheduler": schedulers.flow(1.73),
    },
    SHORT,
)

PRX = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "PRXTransformer2DModel", context_in_dim=32, hidden_size=32, num_heads=2, depth=2, axes_dim=[8, 8]
        ),
        "scheduler": schedulers.flow(3.0),
        "text_encoder": languages.t5gemma(),
        "tokenizer": tokenizers.gemma(64),
        "vae": FLUX_SPACE,
        "default_sample_size": 64,
    },
    SQUARE | {"use_resolution_binning": False},
)

PRX_PIXEL = PRX.but(
    transformer=diffusers(
        "PRXTransformer2DModel",
        in_channels=3,
        patch_size=16,
        context_in_dim=32,
        hidden_size=32,
        num_heads=2,
        depth=2,
        axes_dim=[8, 8],
        bottleneck_size=16,
    ),
    text_encoder=languages.qwen3(),
    tokenizer=QWEN,
    vae=...,
    prompt_max_tokens=64,
)

RECIPES = {
    "AuraFlowPipeline": AURA,
    "PRXPipeline": PRX,
    "PRXPixelPipeline": PRX_PIXEL,
}
