"""Sana: linear attention over pictures, clips and paths of a camera."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import autoencoders, clip_autoencoders, schedulers
from benchmarks.published.tiny.families.calls import CLIP, GEMMA2, GIVEN, SHORT
from benchmarks.published.tiny.families.ltx import AUTOENCODER_2
from benchmarks.published.tiny.parts import Part, Recipe, diffusers, picture

_SANA: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 2,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 12,
    "cross_attention_dim": 24,
    "caption_channels": 32,
    "rope_max_seq_len": 32,
}

SANA_VIDEO = Recipe(
    "text-to-video",
    {
        **GEMMA2,
        "vae": clip_autoencoders.wan(),
        "transformer": diffusers("SanaVideoTransformer3DModel", **_SANA),
        "scheduler": schedulers.flow(7.0),
    },
    CLIP | {"width": 64, "frames": 5, "complex_human_instruction": None, "use_resolution_binning": False},
).called(num_frames=...)


def sana_network(name: str = "SanaTransformer2DModel", **more: Any) -> Part:
    """Sana's transformer, of linear attention."""
    values: dict[str, Any] = {
        "in_channels": 4,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 2,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 8,
        "cross_attention_dim": 16,
        "caption_channels": 32,
        "sample_size": 8,
    }
    return diffusers(name, **(values | more))


SANA = Recipe(
    "text-to-image",
    {
        **GEMMA2,
        "vae": autoencoders.deep_compression(),
        "transformer": sana_network(),
        "scheduler": diffusers(
            "DPMSolverMultistepScheduler",
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=3.0,
        ),
    },
    SHORT | {"complex_human_instruction": None, "use_resolution_binning": False},
)

SPRINT = SANA.but(
    transformer=sana_network(guidance_embeds=True, qk_norm="rms_norm_across_heads"),
    scheduler=diffusers("SCMScheduler", prediction_type="trigflow", sigma_data=0.5),
).called(num_inference_steps=2, intermediate_timesteps=None)

SANA_WM = Recipe(
    "image-to-video",
    {
        **GEMMA2,
        "vae": diffusers("AutoencoderKLLTX2Video", **AUTOENCODER_2),
        "transformer": diffusers(
            "SanaWMTransformer3DModel",
            in_channels=8,
            num_layers=2,
            hidden_size=32,
            num_attention_heads=2,
            softmax_every_n=2,
            linear_head_dim=16,
            caption_channels=32,
            image_size=64,
            chunk_plucker_post_attn_blocks=2,
            mixed_precision="fp32",
        ),
        "scheduler": schedulers.flow(3.0),
    },
    {
        "image": picture(64, 96),
        "prompt": "a red cat",
        "action": "w-9",
        "intrinsics": [60.0, 60.0, 48.0, 32.0],
        "height": 64,
        "width": 96,
        "num_frames": 9,
        "num_inference_steps": 3,
        "guidance_scale": 3.0,
        "max_sequence_length": 32,
    },
)

RECIPES = {
    "SanaVideoPipeline": SANA_VIDEO,
    "SanaImageToVideoPipeline": SANA_VIDEO.but("image-to-video").called(image=GIVEN),
    "SanaPipeline": SANA,
    "SanaSprintPipeline": SPRINT,
    "SanaPAGPipeline": SANA,
    "SanaWMPipeline": SANA_WM,
}
