"""Kandinsky 5 and 6: transformers over pictures and clips."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    clip_autoencoders,
    encoders,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.families.calls import CLIP, GIVEN, QWEN
from benchmarks.published.tiny.families.flux import FLUX
from benchmarks.published.tiny.parts import Recipe, diffusers

KANDINSKY_NETWORK: dict[str, Any] = {
    "in_text_dim": 32,
    "in_text_dim2": 16,
    "time_dim": 16,
    "model_dim": 32,
    "ff_dim": 64,
    "num_text_blocks": 1,
    "num_visual_blocks": 2,
    "axes_dims": (4, 6, 6),
}

KANDINSKY5 = Recipe(
    "text-to-video",
    {
        "transformer": diffusers(
            "Kandinsky5Transformer3DModel",
            **KANDINSKY_NETWORK,
            in_visual_dim=16,
            out_visual_dim=16,
            visual_cond=True,
        ),
        "vae": clip_autoencoders.hunyuan_video(),
        "text_encoder": visual_languages.qwen_vl(),
        "tokenizer": QWEN,
        "text_encoder_2": encoders.clip(16),
        "tokenizer_2": tokenizers.clip(),
        "scheduler": schedulers.flow(5.0),
    },
    CLIP | {"max_sequence_length": 1024},
)

KANDINSKY6 = KANDINSKY5.but(
    transformer=diffusers("Kandinsky6Transformer3DModel", **KANDINSKY_NETWORK),
).called(sample_audio=False, negative_prompt="grey", max_sequence_length=1024)

RECIPES = {
    "Kandinsky5T2VPipeline": KANDINSKY5,
    "Kandinsky5I2VPipeline": KANDINSKY5.but("image-to-video").called(image=GIVEN, num_frames=21),
    "Kandinsky5T2IPipeline": KANDINSKY5.but(
        "text-to-image",
        transformer=diffusers(
            "Kandinsky5Transformer3DModel", **KANDINSKY_NETWORK, in_visual_dim=16, out_visual_dim=16
        ),
        vae=FLUX.parts["vae"],
    )
    .called(num_frames=..., height=64, width=64)
    .limited(resolutions=[(64, 64)]),
    "Kandinsky6TI2VAPipeline": KANDINSKY6,
}
