"""Transformers over pictures, a family each: PixArt, Sana, Lumina, AuraFlow, CogView, HiDream and others."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

CALL = {"prompt": "a red cat", "height": 64, "width": 64, "num_inference_steps": 3, "guidance_scale": 4.0}
SHORT = CALL | {"max_sequence_length": 32}
T5: dict[str, Any] = {"text_encoder": encoders.t5(), "tokenizer": tokenizers.t5()}
GEMMA2: dict[str, Any] = {"text_encoder": languages.gemma("2"), "tokenizer": tokenizers.gemma()}
FLUX_SPACE = autoencoders.flux()


def pixart(**more: Any) -> Part:
    """PixArt's transformer, which predicts a variance too."""
    values: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 2,
        "cross_attention_dim": 16,
        "sample_size": 8,
        "caption_channels": 32,
        "use_additional_conditions": False,
    }
    return diffusers("PixArtTransformer2DModel", **(values | more))


PIXART = Recipe(
    "text-to-image",
    {
        **T5,
        "vae": autoencoders.kl(),
        "transformer": pixart(),
        "scheduler": diffusers("DPMSolverMultistepScheduler", beta_start=0.0001, beta_end=0.02),
    },
    SHORT | {"clean_caption": False, "use_resolution_binning": False},
)
SIGMA = PIXART.but(vae=autoencoders.kl(scale=0.13025))


def sana(**more: Any) -> Part:
    """Sana's transformer, of linear attention."""
    values: dict[str, Any] = {
        "in_channels": 4,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 2,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 8,
        "cross_attention_dim": 16,
        "caption_channels": 32,
        "sample_size": 8,
    }
    return diffusers("SanaTransformer2DModel", **(values | more))


SANA = Recipe(
    "text-to-image",
    {
        **GEMMA2,
        "vae": autoencoders.deep_compression(),
        "transformer": sana(),
        "scheduler": diffusers(
            "DPMSolverMultistepScheduler",
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=3.0,
        ),
    },
    SHORT | {"complex_human_instruction": None, "use_resolution_binning": False},
)

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
COGVIEW4 = COGVIEW3.but(
    text_encoder=languages.glm(),
    tokenizer=tokenizers.llama(side="left"),
    transformer=diffusers("CogView4Transformer2DModel", **_COGVIEW, rope_axes_dim=(8, 8)),
    scheduler=schedulers.flow(
        use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75, time_shift_type="linear"
    ),
)

RECIPES = {
    "PixArtAlphaPipeline": PIXART,
    "PixArtSigmaPipeline": SIGMA,
    "PixArtSigmaPAGPipeline": SIGMA.but(pag_applied_layers="blocks.1"),
    "SanaPipeline": SANA,
    "SanaSprintPipeline": SANA.but(
        transformer=sana(guidance_embeds=True, qk_norm="rms_norm_across_heads"),
        scheduler=diffusers("SCMScheduler", prediction_type="trigflow", sigma_data=0.5),
    ).called(num_inference_steps=2),
    "SanaPAGPipeline": SANA.but(pag_applied_layers="blocks.1"),
    "LuminaPipeline": LUMINA,
    "Lumina2Pipeline": LUMINA2,
    "AuraFlowPipeline": AURA,
    "CogView3PlusPipeline": COGVIEW3,
    "CogView4Pipeline": COGVIEW4,
}
