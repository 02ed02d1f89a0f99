"""Pipelines that change a clip that they are given: by noise on it, or with it beside their latents."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import encoders, processors, schedulers
from benchmarks.published.tiny.families.calls import GIVEN, GIVEN_CLIP, SHOTS
from benchmarks.published.tiny.families.cogvideox import COGVIDEOX, cogvideox_network
from benchmarks.published.tiny.families.control import controlnet
from benchmarks.published.tiny.families.frames import ANIMATEDIFF, MODELSCOPE
from benchmarks.published.tiny.families.skyreels import FORCING
from benchmarks.published.tiny.families.wan import FIVE, SEEING, WAN, wan_network
from benchmarks.published.tiny.parts import Recipe, clip

KIND = "video-to-video"

_NOISED: dict[str, Any] = {"strength": 0.7, "num_frames": ...}

ANIMATED = ANIMATEDIFF.but(KIND).called(video=SHOTS, **_NOISED)

_ANIMATE: dict[str, Any] = {
    "motion_encoder_channel_sizes": {"4": 16, "8": 16, "16": 16},
    "motion_encoder_size": 16,
    "motion_style_dim": 8,
    "motion_dim": 4,
    "motion_encoder_dim": 16,
    "face_encoder_hidden_dim": 16,
    "face_encoder_num_heads": 2,
    "inject_face_latents_blocks": 2,
}

RECIPES: dict[str, Recipe] = {
    "AnimateDiffVideoToVideoPipeline": ANIMATED,
    "AnimateDiffVideoToVideoControlNetPipeline": ANIMATED.but(controlnet=controlnet()).called(
        conditioning_frames=SHOTS
    ),
    "VideoToVideoSDPipeline": MODELSCOPE.but(KIND).called(video=SHOTS, height=..., width=..., **_NOISED),
    "CogVideoXVideoToVideoPipeline": COGVIDEOX.but(KIND).called(video=GIVEN_CLIP, **_NOISED),
    "CogVideoXVideoToVideoPipeline:5b": COGVIDEOX.but(
        KIND,
        transformer=cogvideox_network(use_rotary_positional_embeddings=True),
        scheduler=schedulers.cogvideox(1.0),
    ).called(video=GIVEN_CLIP, **_NOISED),
    "WanVideoToVideoPipeline": WAN.but(KIND).called(video=GIVEN_CLIP, **_NOISED),
    "WanVideoToVideoPipeline:flow": WAN.but(KIND, scheduler=schedulers.flow(5.0)).called(
        video=GIVEN_CLIP, **_NOISED
    ),
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": FORCING.but(KIND).called(
        video=GIVEN_CLIP, num_frames=9, base_num_frames=9, overlap_history=5
    ),
    "LucyEditPipeline": FIVE.but(KIND, transformer=wan_network(48, given=48)).called(video=clip(64, 96, 5)),
    "WanAnimatePipeline": WAN.but(
        KIND,
        transformer=wan_network(given=20, name="WanAnimateTransformer3DModel", **SEEING, **_ANIMATE),
        image_encoder=encoders.clip_vision(16, projection=None),
        image_processor=processors.clip_pictures(),
    ).called(
        image=GIVEN,
        pose_video=GIVEN_CLIP,
        face_video=GIVEN_CLIP,
        num_frames=...,
        segment_frame_length=5,
    ),
}
