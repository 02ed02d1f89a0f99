"""Further transformers over clips, and those that start from a picture."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.clips import CALL, COGVIDEOX, GIVEN, HUNYUAN, cogvideox, hunyuan_video
from benchmarks.published.tiny.flux import FLUX
from benchmarks.published.tiny.images import GEMMA2, T5
from benchmarks.published.tiny.parts import Recipe, diffusers

QWEN = tokenizers.qwen()

ALLEGRO = Recipe(
    "text-to-video",
    {
        **T5,
        "vae": autoencoders.allegro(),
        "transformer": diffusers(
            "AllegroTransformer3DModel",
            num_attention_heads=2,
            attention_head_dim=24,
            num_layers=2,
            cross_attention_dim=48,
            sample_width=6,
            sample_height=4,
            sample_frames=2,
            caption_channels=32,
        ),
        "scheduler": schedulers.euler_ancestral(),
    },
    CALL | {"num_frames": 8, "clean_caption": False},
)

LATTE = Recipe(
    "text-to-video",
    {
        **T5,
        "vae": autoencoders.kl(),
        "transformer": diffusers(
            "LatteTransformer3DModel",
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            cross_attention_dim=16,
            attention_bias=True,
            sample_size=8,
            patch_size=2,
            activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            caption_channels=32,
            video_length=3,
        ),
        "scheduler": schedulers.ddim(beta_schedule="linear", beta_start=0.0001, beta_end=0.02),
    },
    CALL | {"height": 64, "width": 64, "video_length": 3, "clean_caption": False},
).called(num_frames=..., max_sequence_length=...)

EASY = Recipe(
    "text-to-video",
    {
        "vae": autoencoders.magvit(),
        "text_encoder": languages.qwen_vl(name="Qwen2VLForConditionalGeneration", config="Qwen2VLConfig"),
        "tokenizer": tokenizers.qwen(256),
        "transformer": diffusers(
            "EasyAnimateTransformer3DModel",
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=4,
            patch_size=2,
            sample_width=6,
            sample_height=4,
            num_layers=2,
            mmdit_layers=1,
            time_embed_dim=8,
            text_embed_dim=32,
            add_norm_text_encoder=True,
        ),
        "scheduler": schedulers.flow(5.0),
    },
    CALL | {"negative_prompt": "grey"},
).called(max_sequence_length=...)

KANDINSKY: dict[str, Any] = {
    "in_text_dim": 32,
    "in_text_dim2": 16,
    "time_dim": 16,
    "model_dim": 32,
    "ff_dim": 64,
    "num_text_blocks": 1,
    "num_visual_blocks": 2,
    "axes_dims": (4, 6, 6),
}
KANDINSKY5 = Recipe(
    "text-to-video",
    {
        "transformer": diffusers(
            "Kandinsky5Transformer3DModel",
            **KANDINSKY,
            in_visual_dim=16,
            out_visual_dim=16,
            visual_cond=True,
        ),
        "vae": autoencoders.hunyuan_video(),
        "text_encoder": languages.qwen_vl(),
        "tokenizer": QWEN,
        "text_encoder_2": encoders.clip(16),
        "tokenizer_2": tokenizers.clip(),
        "scheduler": schedulers.flow(5.0),
    },
    CALL | {"max_sequence_length": 1024},
)

_HUNYUAN15: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 1,
    "num_refiner_layers": 1,
    "text_embed_dim": 32,
    "text_embed_2_dim": 32,
    "image_embed_dim": 16,
    "rope_axes_dim": (4, 4, 4),
    "in_channels": 17,
    "out_channels": 8,
    "target_size": 64,
}
HUNYUAN15 = Recipe(
    "text-to-video",
    {
        "text_encoder": languages.qwen_vl_text(layers=4),
        "tokenizer": QWEN,
        "transformer": diffusers("HunyuanVideo15Transformer3DModel", **_HUNYUAN15, task_type="t2v"),
        "vae": autoencoders.hunyuan_video15(),
        "scheduler": schedulers.flow(7.0),
        "text_encoder_2": encoders.byt5(),
        "tokenizer_2": tokenizers.byt5(256),
        "guider": diffusers("ClassifierFreeGuidance", guidance_scale=4.0),
    },
    CALL,
).called(guidance_scale=..., max_sequence_length=...)

HUNYUAN_GIVEN = HUNYUAN.but("image-to-video", transformer=hunyuan_video(in_channels=32)).called(image=GIVEN)

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
        "vae": autoencoders.wan(),
        "transformer": diffusers("SanaVideoTransformer3DModel", **_SANA),
        "scheduler": schedulers.flow(7.0),
    },
    CALL | {"width": 64, "frames": 5, "complex_human_instruction": None, "use_resolution_binning": False},
).called(num_frames=...)

RECIPES = {
    "AllegroPipeline": ALLEGRO,
    "LattePipeline": LATTE,
    "EasyAnimatePipeline": EASY,
    "CogVideoXImageToVideoPipeline": COGVIDEOX.but(
        "image-to-video",
        transformer=cogvideox(in_channels=32, use_rotary_positional_embeddings=True),
        scheduler=schedulers.cogvideox(1.0),
    ).called(image=GIVEN),
    "HunyuanSkyreelsImageToVideoPipeline": HUNYUAN_GIVEN.called(true_cfg_scale=3.0, guidance_scale=1.0),
    "HunyuanVideo15Pipeline": HUNYUAN15,
    "HunyuanVideo15ImageToVideoPipeline": HUNYUAN15.but(
        "image-to-video",
        transformer=diffusers("HunyuanVideo15Transformer3DModel", **_HUNYUAN15, task_type="i2v"),
        image_encoder=encoders.siglip(),
        feature_extractor=encoders.siglip_pictures(),
    ).called(image=GIVEN, height=..., width=...),
    "Kandinsky5T2VPipeline": KANDINSKY5,
    "Kandinsky5I2VPipeline": KANDINSKY5.but("image-to-video").called(image=GIVEN, num_frames=21),
    "Kandinsky5T2IPipeline": KANDINSKY5.but(
        "text-to-image",
        transformer=diffusers(
            "Kandinsky5Transformer3DModel", **KANDINSKY, in_visual_dim=16, out_visual_dim=16
        ),
        vae=FLUX.parts["vae"],
    )
    .called(num_frames=..., height=64, width=64)
    .limited(resolutions=[(64, 64)]),
    "SanaVideoPipeline": SANA_VIDEO,
    "SanaImageToVideoPipeline": SANA_VIDEO.but("image-to-video").called(image=GIVEN),
}
