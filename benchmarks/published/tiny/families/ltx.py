"""LTX and LTX 2: tokens of strongly compressed clips, with sound in the second."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    clip_autoencoders,
    encoders,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.parts import Recipe, diffusers, picture

LTX_CALL = {
    "prompt": "a red cat",
    "height": 64,
    "width": 96,
    "num_frames": 9,
    "num_inference_steps": 3,
    "guidance_scale": 3.0,
    "max_sequence_length": 32,
}

LTX_GIVEN = picture(64, 96)

LTX = Recipe(
    "text-to-video",
    {
        "scheduler": schedulers.ltx(),
        "vae": clip_autoencoders.ltx(),
        "text_encoder": encoders.t5(),
        "tokenizer": tokenizers.t5(),
        "transformer": diffusers(
            "LTXVideoTransformer3DModel",
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=16,
            cross_attention_dim=32,
            num_layers=2,
            caption_channels=32,
        ),
    },
    LTX_CALL,
)

NETWORK_2: dict[str, Any] = {
    "in_channels": 8,
    "out_channels": 8,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "cross_attention_dim": 32,
    "audio_in_channels": 8,
    "audio_out_channels": 8,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 8,
    "audio_cross_attention_dim": 16,
    "num_layers": 2,
    "caption_channels": 32,
    "rope_double_precision": False,
}

_CONNECTORS: dict[str, Any] = {
    "caption_channels": 32,
    "text_proj_in_factor": 3,
    "video_connector_num_attention_heads": 2,
    "video_connector_attention_head_dim": 16,
    "video_connector_num_layers": 1,
    "video_connector_num_learnable_registers": 8,
    "audio_connector_num_attention_heads": 2,
    "audio_connector_attention_head_dim": 16,
    "audio_connector_num_layers": 1,
    "audio_connector_num_learnable_registers": 8,
    "connector_rope_base_seq_len": 32,
    "rope_double_precision": False,
}

AUTOENCODER_2: dict[str, Any] = {
    "latent_channels": 8,
    "block_out_channels": (8,) * 4,
    "decoder_block_out_channels": (8, 16, 32),
    "layers_per_block": (1,) * 5,
    "decoder_layers_per_block": (1,) * 4,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
}

LTX2 = Recipe(
    "text-to-video",
    {
        "scheduler": schedulers.ltx(),
        "vae": diffusers("AutoencoderKLLTX2Video", **AUTOENCODER_2),
        "audio_vae": diffusers(
            "AutoencoderKLLTX2Audio",
            base_channels=8,
            ch_mult=(1, 2, 2),
            num_res_blocks=1,
            latent_channels=2,
            mel_bins=16,
        ),
        "text_encoder": visual_languages.gemma3_vl(),
        "tokenizer": tokenizers.gemma(side="left"),
        "connectors": diffusers("pipelines.ltx2:LTX2TextConnectors", **_CONNECTORS),
        "transformer": diffusers("LTX2VideoTransformer3DModel", **NETWORK_2),
        "vocoder": diffusers(
            "pipelines.ltx2:LTX2Vocoder",
            in_channels=32,
            hidden_channels=32,
            upsample_kernel_sizes=[4, 4],
            upsample_factors=[2, 2],
        ),
    },
    LTX_CALL | {"stg_scale": 0.0, "audio_stg_scale": 0.0, "modality_scale": 1.0, "audio_modality_scale": 1.0},
)

RECIPES = {
    "LTXPipeline": LTX,
    "LTXImageToVideoPipeline": LTX.but("image-to-video").called(image=LTX_GIVEN),
    "LTXConditionPipeline": LTX.but("image-to-video", scheduler=schedulers.flow(3.0)).called(image=LTX_GIVEN),
    "LTXI2VLongMultiPromptPipeline": LTX.but("image-to-video", scheduler=schedulers.flow(3.0)).called(
        cond_image=LTX_GIVEN,
        decode_horizontal_tiles=1,
        decode_vertical_tiles=1,
        decode_overlap=1,
    ),
    "LTX2Pipeline": LTX2,
    "LTX2ImageToVideoPipeline": LTX2.but("image-to-video").called(image=LTX_GIVEN),
    "LTX2ConditionPipeline": LTX2,
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
