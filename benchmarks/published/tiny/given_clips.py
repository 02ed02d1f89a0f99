"""Clips from a picture that a language model sees, and clips with sound."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.clips import GIVEN, HUNYUAN, hunyuan_video
from benchmarks.published.tiny.ltx import LTX2, NETWORK_2
from benchmarks.published.tiny.more_clips import KANDINSKY, KANDINSKY5
from benchmarks.published.tiny.parts import Recipe, diffusers
from benchmarks.published.tiny.wan import WAN

FRAMEPACK = HUNYUAN.but(
    "image-to-video",
    transformer=hunyuan_video(
        "HunyuanVideoFramepackTransformer3DModel",
        has_image_proj=True,
        image_proj_dim=16,
        has_clean_x_embedder=True,
    ),
    image_encoder=encoders.siglip(),
    feature_extractor=encoders.siglip_pictures(),
).called(image=GIVEN, latent_window_size=2)

_MOTIF: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 1,
    "num_single_layers": 1,
    "text_embed_dim": 32,
    "rope_axes_dim": (4, 4, 4),
}
MOTIF = WAN.but(
    text_encoder=languages.t5gemma2(),
    tokenizer=tokenizers.gemma(),
    transformer=diffusers("MotifVideoTransformer3DModel", **_MOTIF),
    scheduler=schedulers.flow(5.0),
    guider=diffusers("ClassifierFreeGuidance", guidance_scale=4.0),
).called(guidance_scale=...)

KANDINSKY6 = KANDINSKY5.but(
    transformer=diffusers("Kandinsky6Transformer3DModel", **KANDINSKY),
).called(sample_audio=False, negative_prompt="grey", max_sequence_length=1024)

RECIPES: dict[str, Recipe] = {
    "HunyuanVideoFramepackPipeline": FRAMEPACK,
    "MotifVideoPipeline": MOTIF,
    "MotifVideoImage2VideoPipeline": MOTIF.but(
        "image-to-video",
        transformer=diffusers("MotifVideoTransformer3DModel", **_MOTIF, image_embed_dim=16),
        feature_extractor=encoders.siglip_pictures(28),
    ).called(image=GIVEN),
    "Kandinsky6TI2VAPipeline": KANDINSKY6,
    "LTX2DFRPipeline": LTX2.but(
        transformer=diffusers(
            "LTX2VideoTransformer3DModel", **NETWORK_2, use_keyframes_abs_pos_embedding=True
        ),
        scheduler=schedulers.flow(3.0),
    ).called(
        num_inference_steps=...,
        guidance_scale=...,
        stg_scale=...,
        audio_stg_scale=...,
        modality_scale=...,
        audio_modality_scale=...,
        sigmas=[1.0, 0.7, 0.4],
    ),
    "LTX2HDRPipeline": LTX2.called(audio_stg_scale=..., audio_modality_scale=...),
    "LTX2InContextPipeline": LTX2,
}
