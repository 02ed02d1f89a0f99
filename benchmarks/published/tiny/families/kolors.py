"""Kolors: SDXL's UNet with a text of ChatGLM."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import autoencoders, processors, schedulers
from benchmarks.published.tiny.families.stable_diffusion import SDXL, unet
from benchmarks.published.tiny.parts import Recipe, transformers

_GLM: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 3,
    "num_attention_heads": 4,
    "kv_channels": 8,
    "ffn_hidden_size": 64,
    "padded_vocab_size": processors.GLM_TOKENS,
    "seq_length": 256,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "add_qkv_bias": True,
    "original_rope": True,
}

KOLORS = Recipe(
    "text-to-image",
    {
        "vae": autoencoders.kl(scale=0.13025),
        "text_encoder": transformers(
            "pipelines.kolors:ChatGLMModel",
            "pipelines.kolors.text_encoder:ChatGLMConfig",
            library="diffusers",
            **_GLM,
        ),
        "tokenizer": processors.chatglm(),
        "unet": unet(
            32,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=80,
        ),
        "scheduler": schedulers.euler(beta_end=0.014),
    },
    SDXL.arguments | {"max_sequence_length": 32},
)

RECIPES = {
    "KolorsPipeline": KOLORS.needing("sentencepiece"),
    "KolorsPAGPipeline": KOLORS.needing("sentencepiece"),
}
