"""Motif: a transformer over Wan's latents with a text of T5Gemma 2."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import processors, schedulers, tokenizers, visual_languages
from benchmarks.published.tiny.families.calls import GIVEN
from benchmarks.published.tiny.families.wan import WAN
from benchmarks.published.tiny.parts import diffusers

_MOTIF: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 1,
    "num_single_layers": 1,
    "text_embed_dim": 32,
    "rope_axes_dim": (4, 4, 4),
}

MOTIF = WAN.but(
    text_encoder=visual_languages.t5gemma2(),
    tokenizer=tokenizers.gemma(),
    transformer=diffusers("MotifVideoTransformer3DModel", **_MOTIF),
    scheduler=schedulers.flow(5.0),
    guider=diffusers("ClassifierFreeGuidance", guidance_scale=4.0),
).called(guidance_scale=...)

RECIPES = {
    "MotifVideoPipeline": MOTIF,
    "MotifVideoImage2VideoPipeline": MOTIF.but(
        "image-to-video",
        transformer=diffusers("MotifVideoTransformer3DModel", **_MOTIF, image_embed_dim=16),
        feature_extractor=processors.siglip_pictures(28),
    ).called(image=GIVEN),
}
