"""Further transformers over pictures, each with a text of its own."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.flux import SD3
from benchmarks.published.tiny.images import CALL, FLUX_SPACE, SHORT
from benchmarks.published.tiny.parts import Recipe, diffusers

QWEN = tokenizers.qwen()

HUNYUAN_DIT = Recipe(
    "text-to-image",
    {
        "vae": autoencoders.kl(scale=0.13025),
        "text_encoder": encoders.bert(),
        "tokenizer": tokenizers.bert(),
        "transformer": diffusers(
            "HunyuanDiT2DModel",
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            patch_size=2,
            sample_size=8,
            hidden_size=16,
            num_layers=4,
            cross_attention_dim=32,
            cross_attention_dim_t5=32,
            pooled_projection_dim=16,
        ),
        "scheduler": schedulers.ddim(prediction_type="v_prediction"),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
        "text_encoder_2": encoders.t5(),
        "tokenizer_2": tokenizers.t5(256),
    },
    CALL | {"use_resolution_binning": False},
)

HIDREAM = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.flow(3.0),
        "vae": FLUX_SPACE,
        "text_encoder": encoders.clip(16, projection=16, length=248),
        "tokenizer": tokenizers.clip(),
        "text_encoder_2": encoders.clip(16, projection=16, length=248),
        "tokenizer_2": tokenizers.clip(),
        "text_encoder_3": encoders.t5(),
        "tokenizer_3": tokenizers.t5(),
        "text_encoder_4": languages.llama(name="LlamaForCausalLM"),
        "tokenizer_4": tokenizers.llama(),
        "transformer": diffusers(
            "HiDreamImageTransformer2DModel",
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            caption_channels=[32, 32],
            text_emb_dim=32,
            num_routed_experts=2,
            num_activated_experts=1,
            axes_dims_rope=(8, 4, 4),
            max_resolution=(8, 8),
            llama_layers=[0, 1],
            force_inference_output=True,
        ),
    },
    SHORT,
)

PRX = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "PRXTransformer2DModel", context_in_dim=32, hidden_size=32, num_heads=2, depth=2, axes_dim=[8, 8]
        ),
        "scheduler": schedulers.flow(3.0),
        "text_encoder": languages.t5gemma(),
        "tokenizer": tokenizers.gemma(64),
        "vae": FLUX_SPACE,
        "default_sample_size": 64,
    },
    CALL | {"use_resolution_binning": False},
)

_Z: dict[str, Any] = {
    "dim": 32,
    "n_layers": 2,
    "n_refiner_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 2,
    "cap_feat_dim": 32,
    "axes_dims": [4, 6, 6],
    "axes_lens": [512, 64, 64],
}
Z_IMAGE = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.flow(3.0),
        "vae": FLUX_SPACE,
        "text_encoder": languages.qwen3(),
        "tokenizer": QWEN,
        "transformer": diffusers("ZImageTransformer2DModel", **_Z),
    },
    CALL | {"max_sequence_length": 128},
)

PRX_PIXEL = PRX.but(
    transformer=diffusers(
        "PRXTransformer2DModel",
        in_channels=3,
        patch_size=16,
        context_in_dim=32,
        hidden_size=32,
        num_heads=2,
        depth=2,
        axes_dim=[8, 8],
        bottleneck_size=16,
    ),
    text_encoder=languages.qwen3(),
    tokenizer=QWEN,
    vae=...,
    prompt_max_tokens=64,
)

_WIDE: dict[str, Any] = {"attention_head_dim": 16, "num_attention_heads": 2}

HUNYUAN_IMAGE = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.flow(5.0),
        "vae": autoencoders.hunyuan_image(),
        "text_encoder": languages.qwen_vl(layers=4),
        "tokenizer": QWEN,
        "text_encoder_2": encoders.byt5(),
        "tokenizer_2": tokenizers.byt5(),
        "transformer": diffusers(
            "HunyuanImageTransformer2DModel",
            **_WIDE,
            in_channels=16,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            text_embed_dim=32,
            text_embed_2_dim=32,
            rope_axes_dim=(8, 8),
        ),
    },
    CALL,
).called(guidance_scale=...)

ERNIE = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "ErnieImageTransformer2DModel",
            hidden_size=32,
            num_attention_heads=2,
            num_layers=2,
            ffn_hidden_size=64,
            in_channels=32,
            out_channels=32,
            text_in_dim=32,
            rope_axes_dim=(4, 6, 6),
        ),
        "vae": autoencoders.flux2(),
        "text_encoder": languages.mistral3(name="Mistral3Model"),
        "tokenizer": QWEN,
        "scheduler": schedulers.flow(3.0),
    },
    CALL | {"use_pe": False},
)

KREA2 = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.qwen_image(),
        "text_encoder": languages.qwen3_vl(name="Qwen3VLModel"),
        "tokenizer": QWEN,
        "transformer": diffusers(
            "Krea2Transformer2DModel",
            **_WIDE,
            num_layers=2,
            num_key_value_heads=1,
            intermediate_size=64,
            timestep_embed_dim=16,
            text_hidden_dim=32,
            num_text_layers=2,
            text_num_attention_heads=2,
            text_num_key_value_heads=2,
            text_intermediate_size=64,
            num_layerwise_text_blocks=1,
            num_refiner_text_blocks=1,
            axes_dims_rope=(4, 6, 6),
        ),
        "text_encoder_select_layers": (1, 2),
    },
    CALL | {"max_sequence_length": 128},
)

RECIPES = {
    "StableDiffusion3PAGPipeline": SD3.but(pag_applied_layers="blocks.1"),
    "HunyuanDiTPipeline": HUNYUAN_DIT,
    "HunyuanDiTPAGPipeline": HUNYUAN_DIT.but(pag_applied_layers="blocks.1"),
    "HiDreamImagePipeline": HIDREAM.limited(default_sample_size=8),
    "PRXPipeline": PRX,
    "PRXPixelPipeline": PRX_PIXEL,
    "ZImagePipeline": Z_IMAGE,
    "HunyuanImagePipeline": HUNYUAN_IMAGE,
    "ErnieImagePipeline": ERNIE,
    "Krea2Pipeline": KREA2,
}
