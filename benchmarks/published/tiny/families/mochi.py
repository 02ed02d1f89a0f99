"""Mochi and Allegro: texts of T5, latents of their own."""

from __future__ import annotations

from benchmarks.published.tiny.components import clip_autoencoders, encoders, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import CLIP, T5
from benchmarks.published.tiny.parts import Recipe, diffusers

MOCHI = Recipe(
    "text-to-video",
    {
        "scheduler": schedulers.flow(invert_sigmas=True),
        "vae": clip_autoencoders.mochi(),
        "text_encoder": encoders.t5(),
        "tokenizer": tokenizers.t5(),
        "transformer": diffusers(
            "MochiTransformer3DModel",
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            pooled_projection_dim=16,
            text_embed_dim=32,
            time_embed_dim=4,
            max_sequence_length=32,
        ),
        "force_zeros_for_empty_prompt": False,
    },
    CLIP | {"num_frames": 7},
)

ALLEGRO = Recipe(
    "text-to-video",
    {
        **T5,
        "vae": clip_autoencoders.allegro(),
        "transformer": diffusers(
            "AllegroTransformer3DModel",
            num_attention_heads=2,
            attention_head_dim=24,
            num_layers=2,
            cross_attention_dim=48,
            sample_width=16,
            sample_height=16,
            sample_frames=6,
            caption_channels=32,
        ),
        "scheduler": schedulers.euler_ancestral(),
    },
    CLIP | {"height": 128, "width": 128, "num_frames": 24, "clean_caption": False},
)

RECIPES = {
    "MochiPipeline": MOCHI,
    "AllegroPipeline": ALLEGRO,
}
