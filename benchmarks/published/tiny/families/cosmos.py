"""Cosmos: a transformer in Wan's latent space, and the first one in its own with levels of EDM."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import (
    clip_autoencoders,
    encoders,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.components.safety import PassingChecker
from benchmarks.published.tiny.families.calls import GIVEN
from benchmarks.published.tiny.families.wan import WAN
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

COSMOS_NETWORK: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 2,
    "mlp_ratio": 2,
    "text_embed_dim": 32,
    "adaln_lora_dim": 4,
    "max_size": (4, 32, 32),
    "rope_scale": (1.0, 4.0, 4.0),
    "concat_padding_mask": False,  # torchvision resizes the mask
}


def cosmos_network(**more: Any) -> Part:
    """Cosmos' transformer."""
    return diffusers("CosmosTransformer3DModel", **(COSMOS_NETWORK | {"extra_pos_embed_type": None} | more))


COSMOS2 = WAN.but(
    "text-to-image",
    text_encoder=encoders.t5(),
    transformer=cosmos_network(),
    scheduler=schedulers.flow(use_karras_sigmas=True),
    safety_checker=Part(PassingChecker),
).called(num_frames=...)

COSMOS1 = Recipe(
    "text-to-video",
    {
        "text_encoder": encoders.t5(),
        "tokenizer": tokenizers.t5(),
        "transformer": cosmos_network(extra_pos_embed_type="learnable", rope_scale=(2.0, 1.0, 1.0)),
        "vae": clip_autoencoders.cosmos(),
        "scheduler": diffusers("EDMEulerScheduler", sigma_min=0.002, sigma_max=80.0, sigma_data=0.5),
        "safety_checker": Part(PassingChecker),
    },
    WAN.called(num_frames=9).arguments,
)

COSMOS25 = WAN.but(
    text_encoder=visual_languages.qwen_vl(),
    tokenizer=tokenizers.qwen(),
    transformer=cosmos_network(
        in_channels=17,
        use_crossattn_projection=True,
        crossattn_proj_in_channels=64,
        encoder_hidden_states_channels=32,
    ),
    scheduler=diffusers(
        "UniPCMultistepScheduler", prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0
    ),
    safety_checker=Part(PassingChecker),
).called(max_sequence_length=256)

_OMNI: dict[str, Any] = {
    "head_dim": 16,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
    "latent_channel": 16,
    "patch_latent_dim": 64,
    "vocab_size": tokenizers.QWEN_TOKENS,
    "rope_scaling": {"mrope_section": [4, 2, 2]},
    "dtype": "float32",
}

OMNI = Recipe(
    "text-to-video",
    {
        "transformer": diffusers("Cosmos3OmniTransformer", **_OMNI),
        "text_tokenizer": tokenizers.qwen(),
        "vae": clip_autoencoders.wan(),
        "scheduler": schedulers.unipc_flow(),
        "safety_checker": Part(PassingChecker),
        "enable_safety_checker": False,
    },
    WAN.called(max_sequence_length=...).arguments,
)

RECIPES = {
    "CosmosTextToWorldPipeline": COSMOS1,
    "CosmosVideoToWorldPipeline": COSMOS1.but(
        "image-to-video",
        transformer=cosmos_network(
            in_channels=17, extra_pos_embed_type="learnable", rope_scale=(2.0, 1.0, 1.0)
        ),
    ).called(image=GIVEN),
    "Cosmos2TextToImagePipeline": COSMOS2,
    "Cosmos2VideoToWorldPipeline": COSMOS2.but(
        "image-to-video", transformer=cosmos_network(in_channels=17)
    ).called(image=GIVEN, num_frames=5),
    "Cosmos2_5_PredictBasePipeline": COSMOS25,
    "Cosmos2_5_PredictBasePipeline:image": COSMOS25.but("image-to-video")
    .called(image=GIVEN)
    .needing("torchvision"),
    "Cosmos3OmniPipeline": OMNI,
}
