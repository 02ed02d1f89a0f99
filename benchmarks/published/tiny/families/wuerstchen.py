"""Wuerstchen and Stable Cascade: strongly compressed latents, drawn by a prior."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import encoders, tokenizers
from benchmarks.published.tiny.parts import Recipe, diffusers

PAELLA = diffusers(
    "pipelines.deprecated.wuerstchen:PaellaVQModel", bottleneck_blocks=1, embed_dim=8, num_vq_embeddings=32
)

_WUERSTCHEN_STEPS = diffusers("DDPMWuerstchenScheduler")

_CHAIN: dict[str, Any] = {
    "tokenizer": tokenizers.clip(),
    "scheduler": _WUERSTCHEN_STEPS,
    "vqgan": PAELLA,
    "prior_tokenizer": tokenizers.clip(),
    "prior_scheduler": _WUERSTCHEN_STEPS,
}

_CHAIN_CALL = {
    "prompt": "a red cat",
    "height": 128,
    "width": 128,
    "prior_num_inference_steps": 2,
    "num_inference_steps": 3,
    "prior_guidance_scale": 4.0,
}

WUERSTCHEN = Recipe(
    "text-to-image",
    {
        **_CHAIN,
        "text_encoder": encoders.clip(16),
        "prior_text_encoder": encoders.clip(16),
        "decoder": diffusers(
            "pipelines.deprecated.wuerstchen:WuerstchenDiffNeXt",
            c_cond=16,
            c_hidden=[8, 16],
            nhead=[-1, 2],
            blocks=[1, 1],
            level_config=["CT", "CTA"],
            inject_effnet=[False, True],
            effnet_embd=16,
            clip_embd=16,
            c_r=8,
        ),
        "prior_prior": diffusers(
            "pipelines.deprecated.wuerstchen:WuerstchenPrior", c=16, c_cond=16, c_r=8, depth=2, nhead=2
        ),
    },
    _CHAIN_CALL,
)

_CASCADE: dict[str, Any] = {
    "timestep_ratio_embedding_dim": 8,
    "conditioning_dim": 16,
    "block_out_channels": (16, 16),
    "num_attention_heads": (2, 2),
    "down_num_layers_per_block": (1, 1),
    "up_num_layers_per_block": (1, 1),
    "clip_text_pooled_in_channels": 16,
    "dropout": (0.0, 0.0),
    "self_attn": True,
}

CASCADE = Recipe(
    "text-to-image",
    {
        **_CHAIN,
        "text_encoder": encoders.clip(16, projection=16),
        "prior_text_encoder": encoders.clip(16, projection=16),
        "decoder": diffusers(
            "StableCascadeUNet",
            **_CASCADE,
            in_channels=4,
            out_channels=4,
            patch_size=2,
            effnet_in_channels=16,
            pixel_mapper_in_channels=3,
            timestep_conditioning_type=("sca",),
            switch_level=None,
        ),
        "prior_prior": diffusers(
            "StableCascadeUNet",
            **_CASCADE,
            clip_text_in_channels=16,
            clip_image_in_channels=16,
            switch_level=(False,),
        ),
    },
    _CHAIN_CALL,
)

RECIPES = {
    "WuerstchenCombinedPipeline": WUERSTCHEN,
    "StableCascadeCombinedPipeline": CASCADE,
}
