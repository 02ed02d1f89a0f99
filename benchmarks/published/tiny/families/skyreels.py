"""Descendants of Wan that sample in other ways: SkyReels, AnyFlow, Helios."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import encoders, processors, schedulers
from benchmarks.published.tiny.families.calls import GIVEN
from benchmarks.published.tiny.families.wan import SEEING, WAN, wan_network
from benchmarks.published.tiny.parts import diffusers

SKYREELS = WAN.but(
    transformer=wan_network(name="SkyReelsV2Transformer3DModel"), scheduler=schedulers.unipc_flow(8.0)
)

FORCING = SKYREELS.called(base_num_frames=5)

ANYFLOW_STEPS = diffusers("FlowMapEulerDiscreteScheduler", shift=5.0)

_ANYFLOW: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}

ANYFLOW = WAN.but(transformer=diffusers("AnyFlowTransformer3DModel", **_ANYFLOW), scheduler=ANYFLOW_STEPS)

ANYFLOW_FAR = WAN.but(
    transformer=diffusers("AnyFlowFARTransformer3DModel", **_ANYFLOW, chunk_partition=(1, 1)),
    scheduler=ANYFLOW_STEPS,
).called(chunk_partition=(1, 1))

HELIOS = WAN.but(
    transformer=diffusers(
        "HeliosTransformer3DModel",
        num_attention_heads=2,
        attention_head_dim=12,
        text_dim=32,
        freq_dim=32,
        ffn_dim=32,
        num_layers=2,
        rope_dim=(4, 4, 4),
    ),
    scheduler=diffusers("HeliosScheduler", stages=1, stage_range=[0, 1], gamma=1.0),
).called(num_frames=9, history_sizes=[4, 2, 1], num_latent_frames_per_chunk=3)

RECIPES = {
    "SkyReelsV2Pipeline": SKYREELS,
    "SkyReelsV2ImageToVideoPipeline": SKYREELS.but(
        "image-to-video",
        transformer=wan_network(given=20, name="SkyReelsV2Transformer3DModel", **SEEING),
        image_encoder=encoders.clip_vision(16, projection=None),
        image_processor=processors.clip_pictures(),
    ).called(image=GIVEN),
    "SkyReelsV2DiffusionForcingPipeline": FORCING,
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": FORCING.but("image-to-video").called(image=GIVEN),
    "AnyFlowPipeline": ANYFLOW,
    "AnyFlowFARPipeline": ANYFLOW_FAR,
    "HeliosPipeline": HELIOS,
    "HeliosPyramidPipeline": HELIOS.but(scheduler=diffusers("HeliosScheduler", gamma=0.3)).called(
        height=64, width=64, num_inference_steps=..., pyramid_num_inference_steps_list=[2, 2, 2]
    ),
}
