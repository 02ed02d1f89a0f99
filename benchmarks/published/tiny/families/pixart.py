"""PixArt, Latte and HunyuanDiT: transformers that predict a variance too, or v."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import autoencoders, encoders, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import CLIP, SHORT, SQUARE, T5
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

LATTE = Recipe(
    "text-to-video",
    {
        **T5,
        "vae": autoencoders.kl(),
        "transformer": diffusers(
            "LatteTransformer3DModel",
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            cross_attention_dim=16,
            attention_bias=True,
            sample_size=8,
            patch_size=2,
            activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            caption_channels=32,
            video_length=3,
        ),
        "scheduler": schedulers.ddim(beta_schedule="linear", beta_start=0.0001, beta_end=0.02),
    },
    CLIP | {"height": 64, "width": 64, "video_length": 3, "clean_caption": False},
).called(num_frames=..., max_sequence_length=...)


def pixart_network(**more: Any) -> Part:
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
        "transformer": pixart_network(),
        "scheduler": diffusers("DPMSolverMultistepScheduler", beta_start=0.0001, beta_end=0.02),
    },
    SHORT | {"clean_caption": False, "use_resolution_binning": False},
)

SIGMA = PIXART.but(vae=autoencoders.kl(scale=0.13025))

HUNYUAN_DIT_NETWORK = {
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "in_channels": 4,
    "patch_size": 2,
    "sample_size": 8,
    "hidden_size": 16,
    "cross_attention_dim": 32,
    "cross_attention_dim_t5": 32,
    "pooled_projection_dim": 16,
}
"""Of a transformer, and of a ControlNet beside it."""

HUNYUAN_DIT = Recipe(
    "text-to-image",
    {
        "vae": autoencoders.kl(scale=0.13025),
        "text_encoder": encoders.bert(),
        "tokenizer": tokenizers.bert(),
        "transformer": diffusers("HunyuanDiT2DModel", num_layers=4, **HUNYUAN_DIT_NETWORK),
        "scheduler": schedulers.ddim(prediction_type="v_prediction"),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
        "text_encoder_2": encoders.t5(),
        "tokenizer_2": tokenizers.t5(256),
    },
    SQUARE | {"use_resolution_binning": False},
)

RECIPES = {
    "LattePipeline": LATTE,
    "PixArtAlphaPipeline": PIXART,
    "PixArtSigmaPipeline": SIGMA,
    "PixArtSigmaPAGPipeline": SIGMA.but(pag_applied_layers="blocks.1"),
    "HunyuanDiTPipeline": HUNYUAN_DIT,
    "HunyuanDiTPAGPipeline": HUNYUAN_DIT.but(pag_applied_layers="blocks.1"),
}
