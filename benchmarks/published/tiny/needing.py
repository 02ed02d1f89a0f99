"""Classes that need packages which jvid does not: OpenCV, sentencepiece, torchvision."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from benchmarks.published.tiny import autoencoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.clips import COGVIDEOX, GIVEN, cogvideox
from benchmarks.published.tiny.images import CALL
from benchmarks.published.tiny.parts import Recipe, diffusers, transformers
from benchmarks.published.tiny.unets import SDXL, unet

CONSISID = COGVIDEOX.but(
    "image-to-video",
    transformer=cogvideox(
        "ConsisIDTransformer3DModel", in_channels=32, use_rotary_positional_embeddings=True
    ),
    scheduler=diffusers(
        "CogVideoXDPMScheduler",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        **schedulers.BETAS,
    ),
).called(image=GIVEN)

OMNIGEN = Recipe(
    "text-to-image",
    {
        "transformer": diffusers(
            "OmniGenTransformer2DModel",
            hidden_size=32,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=64,
            num_layers=2,
            pad_token_id=3,
            vocab_size=tokenizers.WORDS,
            max_position_embeddings=1024,
            time_step_dim=8,
            rope_scaling={"long_factor": [1.0] * 4, "short_factor": [1.0] * 4},
        ),
        "scheduler": schedulers.flow(invert_sigmas=True),
        "vae": autoencoders.kl(scale=0.13025),
        "tokenizer": tokenizers.llama(),
    },
    CALL,
)

QWEN_IMAGE21 = Recipe(
    "text-to-image",
    {
        "scheduler": schedulers.dynamic(),
        "vae": autoencoders.qwen_image21(),
        "text_encoder": languages.qwen3_vl(),
        "processor": tokenizers.qwen3_vl(),
        "transformer": diffusers(
            "QwenImage21Transformer2DModel",
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            context_in_dim=32,
            axes_dims_rope=(4, 6, 6),
        ),
    },
    CALL | {"true_cfg_scale": 3.0, "negative_prompt": "grey"},
).called(guidance_scale=...)

_GLM: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 3,
    "num_attention_heads": 4,
    "kv_channels": 8,
    "ffn_hidden_size": 64,
    "padded_vocab_size": tokenizers.GLM_TOKENS,
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
        "tokenizer": tokenizers.chatglm(),
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
    name: evolve(recipe, needs=(package,))
    for package, table in {
        "cv2": {"ConsisIDPipeline": CONSISID},
        "sentencepiece": {"KolorsPipeline": KOLORS, "KolorsPAGPipeline": KOLORS},
        "torchvision": {"OmniGenPipeline": OMNIGEN, "QwenImage21Pipeline": QWEN_IMAGE21},
    }.items()
    for name, recipe in table.items()
}
