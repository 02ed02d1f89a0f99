"""Wan and its descendants: a transformer over patches of 1 x 2 x 2, UMT5's text."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, schedulers, tokenizers
from benchmarks.published.tiny.parts import Part, Recipe, diffusers, picture

CALL = {
    "prompt": "a red cat",
    "height": 32,
    "width": 48,
    "num_frames": 5,
    "num_inference_steps": 3,
    "guidance_scale": 4.0,
    "max_sequence_length": 32,
}


def network(channels: int = 16, given: int = 0, name: str = "WanTransformer3DModel", **more: Any) -> Part:
    """The transformer, of ``channels`` latent channels with ``given`` ones beside them."""
    values: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": channels + given,
        "out_channels": channels,
        "text_dim": 32,
        "freq_dim": 32,
        "ffn_dim": 32,
        "num_layers": 2,
        "rope_max_seq_len": 32,
    }
    return diffusers(name, **(values | more))


WAN = Recipe(
    "text-to-video",
    {
        "tokenizer": tokenizers.t5(),
        "text_encoder": encoders.umt5(),
        "vae": autoencoders.wan(),
        "scheduler": schedulers.unipc_flow(),
        "transformer": network(),
    },
    CALL,
)
TWO = WAN.but(transformer_2=network(), boundary_ratio=0.875).called(guidance_scale=4.0, guidance_scale_2=3.0)
FIVE = WAN.but(transformer=network(48), vae=autoencoders.wan_5b(), expand_timesteps=True).called(
    height=64, width=96
)

GIVEN = picture(32, 48)
I2V = WAN.but(
    "image-to-video",
    transformer=network(given=20, image_dim=16, added_kv_proj_dim=24),
    image_encoder=encoders.clip_vision(16, projection=None),
    image_processor=encoders.clip_pictures(),
).called(image=GIVEN)

RECIPES = {
    "WanPipeline": WAN,
    "WanPipeline:2.2": TWO,
    "WanPipeline:5b": FIVE,
    "WanImageToVideoPipeline": I2V,
    "WanImageToVideoPipeline:2.2": WAN.but(
        "image-to-video", transformer=network(given=20), transformer_2=network(given=20), boundary_ratio=0.9
    ).called(image=GIVEN, guidance_scale=3.5),
    "WanImageToVideoPipeline:5b": FIVE.but("image-to-video").called(image=picture(64, 96)),
}
