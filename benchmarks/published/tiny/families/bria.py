"""Bria, Fibo and Fibo 2."""

from __future__ import annotations

from benchmarks.published.tiny.components import (
    autoencoders,
    clip_autoencoders,
    languages,
    schedulers,
    tokenizers,
    visual_languages,
)
from benchmarks.published.tiny.families.calls import PACKED, QWEN, SQUARE, T5
from benchmarks.published.tiny.families.flux import FEW, ROPE
from benchmarks.published.tiny.parts import Recipe, diffusers

BRIA = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.kl(),
        **T5,
        "transformer": diffusers(
            "BriaTransformer2DModel", **FEW, **ROPE, in_channels=16, joint_attention_dim=32
        ),
    },
    PACKED | {"guidance_scale": 4.0},
)

FIBO = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": clip_autoencoders.wan_5b(),
        "text_encoder": languages.smollm3(),
        "tokenizer": tokenizers.llama(),
        "transformer": diffusers(
            "BriaFiboTransformer2DModel",
            **FEW,
            **ROPE,
            in_channels=48,
            joint_attention_dim=64,
            text_encoder_dim=32,
        ),
    },
    PACKED | {"guidance_scale": 4.0},
)

FIBO2 = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "BriaFibo2Transformer2DModel",
            in_channels=8,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            cap_feat_dim=96,
            injection_layer_ids=(1,),
            perceiver_num_layers=1,
            min_num_gist_tokens=4,
            max_num_gist_tokens=8,
            gist_step=4,
            gist_min_text_len=8,
            gist_max_text_len=64,
            axes_dims=(4, 6, 6),
            axes_lens=(2048, 64, 64),
        ),
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.flux2(),
        "text_encoder": visual_languages.qwen3_vl(),
        "processor": QWEN,
    },
    SQUARE | {"negative_prompt": "grey"},
)

RECIPES = {
    "BriaPipeline": BRIA,
    "BriaFiboPipeline": FIBO,
    "BriaFibo2Pipeline": FIBO2.limited(text_encoder_out_layers=((0, 1, 2), (1, 2, 3))),
}
