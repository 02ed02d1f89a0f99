"""CogVideoX, ConsisID and EasyAnimate: transformers over text and clip together."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    clip_autoencoders,
    encoders,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.families.calls import CLIP, GIVEN
from benchmarks.published.tiny.parts import Part, Recipe, diffusers


def cogvideox_network(name: str = "CogVideoXTransformer3DModel", **more: Any) -> Part:
    """CogVideoX's transformer; 2B has sinusoidal positions, 5B rotary ones."""
    values: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "time_embed_dim": 8,
        "text_embed_dim": 32,
        "num_layers": 2,
        "sample_width": 6,
        "sample_height": 4,
        "sample_frames": 5,
        "max_text_seq_length": 32,
    }
    return diffusers(name, **(values | more))


COGVIDEOX = Recipe(
    "text-to-video",
    {
        "tokenizer": tokenizers.t5(),
        "text_encoder": encoders.t5(),
        "vae": clip_autoencoders.cogvideox(),
        "transformer": cogvideox_network(),
        "scheduler": schedulers.cogvideox(),
    },
    CLIP,
)


def easy_network(**more: Any) -> Part:
    """EasyAnimate's transformer."""
    values: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "patch_size": 2,
        "sample_width": 6,
        "sample_height": 4,
        "num_layers": 2,
        "mmdit_layers": 1,
        "time_embed_dim": 8,
        "text_embed_dim": 32,
        "add_norm_text_encoder": True,
    }
    return diffusers("EasyAnimateTransformer3DModel", **(values | more))


EASY = Recipe(
    "text-to-video",
    {
        "vae": clip_autoencoders.magvit(),
        "text_encoder": visual_languages.qwen_vl(
            name="Qwen2VLForConditionalGeneration", config="Qwen2VLConfig"
        ),
        "tokenizer": tokenizers.qwen(256),
        "transformer": easy_network(),
        "scheduler": schedulers.flow(5.0),
    },
    CLIP | {"negative_prompt": "grey"},
).called(max_sequence_length=...)

CONSISID = COGVIDEOX.but(
    "image-to-video",
    transformer=cogvideox_network(
        "ConsisIDTransformer3DModel", in_channels=32, use_rotary_positional_embeddings=True
    ),
    scheduler=diffusers(
        "CogVideoXDPMScheduler",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        **schedulers.BETAS,
    ),
).called(image=GIVEN)

RECIPES = {
    "CogVideoXPipeline": COGVIDEOX,
    "CogVideoXPipeline:5b": COGVIDEOX.but(
        transformer=cogvideox_network(use_rotary_positional_embeddings=True),
        scheduler=schedulers.cogvideox(1.0),
    ),
    "EasyAnimatePipeline": EASY,
    "CogVideoXImageToVideoPipeline": COGVIDEOX.but(
        "image-to-video",
        transformer=cogvideox_network(in_channels=32, use_rotary_positional_embeddings=True),
        scheduler=schedulers.cogvideox(1.0),
    ).called(image=GIVEN),
    "ConsisIDPipeline": CONSISID.needing("cv2"),
}
