"""Wan 2.1, 2.2 and 5B, VACE and ChronoEdit: a transformer over patches of 1 x 2 x 2."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    clip_autoencoders,
    encoders,
    processors,
    schedulers,
    tokenizers,
)
from benchmarks.published.tiny.families.calls import CLIP, GIVEN
from benchmarks.published.tiny.parts import Part, Recipe, diffusers, picture


def wan_network(channels: int = 16, given: int = 0, name: str = "WanTransformer3DModel", **more: Any) -> Part:
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
        "vae": clip_autoencoders.wan(),
        "scheduler": schedulers.unipc_flow(),
        "transformer": wan_network(),
    },
    CLIP,
)

TWO = WAN.but(transformer_2=wan_network(), boundary_ratio=0.875).called(
    guidance_scale=4.0, guidance_scale_2=3.0
)

FIVE = WAN.but(transformer=wan_network(48), vae=clip_autoencoders.wan_5b(), expand_timesteps=True).called(
    height=64, width=96
)

I2V = WAN.but(
    "image-to-video",
    transformer=wan_network(given=20, image_dim=16, added_kv_proj_dim=24),
    image_encoder=encoders.clip_vision(16, projection=None),
    image_processor=processors.clip_pictures(),
).called(image=GIVEN)

SEEING: dict[str, Any] = {"image_dim": 16, "added_kv_proj_dim": 24}

VACE = WAN.but(
    transformer=wan_network(name="WanVACETransformer3DModel", vace_layers=[0], vace_in_channels=96)
)

CHRONO = I2V.but(
    transformer=wan_network(given=20, name="ChronoEditTransformer3DModel", **SEEING),
    scheduler=schedulers.flow(5.0),
)

RECIPES = {
    "WanPipeline": WAN,
    "WanPipeline:2.2": TWO,
    "WanPipeline:5b": FIVE,
    "WanImageToVideoPipeline": I2V,
    "WanImageToVideoPipeline:2.2": WAN.but(
        "image-to-video",
        transformer=wan_network(given=20),
        transformer_2=wan_network(given=20),
        boundary_ratio=0.9,
    ).called(image=GIVEN, guidance_scale=3.5),
    "WanImageToVideoPipeline:5b": FIVE.but("image-to-video").called(image=picture(64, 96)),
    "WanVACEPipeline": VACE,
    "ChronoEditPipeline": CHRONO,
}
