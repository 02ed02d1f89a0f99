"""Chains of several networks, and models of tokens: unCLIP, Wuerstchen, Stable Cascade, aMUSEd, VQ Diffusion."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import encoders, tokenizers
from benchmarks.published.tiny.parts import Part, Recipe, diffusers
from benchmarks.published.tiny.priors import PRIOR, SIMPLE, UNCLIP
from benchmarks.published.tiny.unets import CALL, unet

_STEPS = diffusers("UnCLIPScheduler", variance_type="learned_range", prediction_type="epsilon")
_LAST = diffusers("UnCLIPScheduler", variance_type="fixed_small_log", prediction_type="epsilon")


def _enlarging() -> Part:
    return diffusers(
        "UNet2DModel",
        sample_size=16,
        in_channels=6,
        out_channels=3,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("ResnetDownsampleBlock2D",) * 2,
        up_block_types=("ResnetUpsampleBlock2D",) * 2,
        add_attention=False,
    )


UNCLIP_CHAIN = Recipe(
    "text-to-image",
    {
        "prior": PRIOR,
        "decoder": unet(
            16, in_channels=3, out_channels=6, sample_size=8, class_embed_type="identity", **SIMPLE
        ),
        "text_encoder": encoders.clip(16, projection=16),
        "tokenizer": tokenizers.clip(),
        "text_proj": diffusers(
            "pipelines.deprecated.unclip.text_proj:UnCLIPTextProjModel",
            clip_embeddings_dim=16,
            time_embed_dim=32,
            cross_attention_dim=16,
        ),
        "super_res_first": _enlarging(),
        "super_res_last": _enlarging(),
        "prior_scheduler": UNCLIP,
        "decoder_scheduler": _STEPS,
        "super_res_scheduler": _LAST,
    },
    {
        "prompt": "a red cat",
        "prior_num_inference_steps": 2,
        "decoder_num_inference_steps": 2,
        "super_res_num_inference_steps": 2,
    },
)

PAELLA = diffusers(
    "pipelines.deprecated.wuerstchen:PaellaVQModel", bottleneck_blocks=1, embed_dim=8, num_vq_embeddings=32
)
_WUERSTCHEN_STEPS = diffusers("DDPMWuerstchenScheduler")
_CHAIN: dict[str, Any] = {
    "tokenizer": tokenizers.clip(),
    "scheduler": _WUERSTCHEN_STEPS,
    "vqgan": PAELLA,
    "prior_tokenizer": tokenizers.clip(),
    "prior_scheduler": _WUERSTCHEN_STEPS,
}
_CHAIN_CALL = {
    "prompt": "a red cat",
    "height": 128,
    "width": 128,
    "prior_num_inference_steps": 2,
    "num_inference_steps": 3,
    "prior_guidance_scale": 4.0,
}

WUERSTCHEN = Recipe(
    "text-to-image",
    {
        **_CHAIN,
        "text_encoder": encoders.clip(16),
        "prior_text_encoder": encoders.clip(16),
        "decoder": diffusers(
            "pipelines.deprecated.wuerstchen:WuerstchenDiffNeXt",
            c_cond=16,
            c_hidden=[8, 16],
            nhead=[-1, 2],
            blocks=[1, 1],
            level_config=["CT", "CTA"],
            inject_effnet=[False, True],
            effnet_embd=16,
            clip_embd=16,
            c_r=8,
        ),
        "prior_prior": diffusers(
            "pipelines.deprecated.wuerstchen:WuerstchenPrior", c=16, c_cond=16, c_r=8, depth=2, nhead=2
        ),
    },
    _CHAIN_CALL,
)

_CASCADE: dict[str, Any] = {
    "timestep_ratio_embedding_dim": 8,
    "conditioning_dim": 16,
    "block_out_channels": (16, 16),
    "num_attention_heads": (2, 2),
    "down_num_layers_per_block": (1, 1),
    "up_num_layers_per_block": (1, 1),
    "clip_text_pooled_in_channels": 16,
    "dropout": (0.0, 0.0),
    "self_attn": True,
}
CASCADE = Recipe(
    "text-to-image",
    {
        **_CHAIN,
        "text_encoder": encoders.clip(16, projection=16),
        "prior_text_encoder": encoders.clip(16, projection=16),
        "decoder": diffusers(
            "StableCascadeUNet",
            **_CASCADE,
            in_channels=4,
            out_channels=4,
            patch_size=2,
            effnet_in_channels=16,
            pixel_mapper_in_channels=3,
            timestep_conditioning_type=("sca",),
            switch_level=None,
        ),
        "prior_prior": diffusers(
            "StableCascadeUNet",
            **_CASCADE,
            clip_text_in_channels=16,
            clip_image_in_channels=16,
            switch_level=(False,),
        ),
    },
    _CHAIN_CALL,
)

AMUSED = Recipe(
    "text-to-image",
    {
        "vqvae": diffusers(
            "VQModel",
            block_out_channels=(32, 32),
            latent_channels=8,
            num_vq_embeddings=32,
            vq_embed_dim=8,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            lookup_from_codebook=True,
            mid_block_add_attention=False,
        ),
        "tokenizer": tokenizers.clip(),
        "text_encoder": encoders.clip(16, projection=16),
        "transformer": diffusers(
            "UVit2DModel",
            hidden_size=16,
            cond_embed_dim=16,
            micro_cond_encode_dim=2,
            micro_cond_embed_dim=10,
            encoder_hidden_size=16,
            vocab_size=33,
            codebook_size=32,
            in_channels=16,
            block_out_channels=16,
            num_res_blocks=1,
            block_num_heads=2,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            sample_size=8,
        ),
        "scheduler": diffusers("AmusedScheduler", mask_token_id=32),
    },
    CALL | {"height": 16, "width": 16},
)

VQ = Recipe(
    "text-to-image",
    {
        "vqvae": diffusers(
            "VQModel",
            block_out_channels=(32, 32),
            latent_channels=4,
            num_vq_embeddings=12,
            vq_embed_dim=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        "text_encoder": encoders.clip(16),
        "tokenizer": tokenizers.clip(),
        "transformer": diffusers(
            "Transformer2DModel",
            attention_bias=True,
            cross_attention_dim=16,
            attention_head_dim=8,
            num_attention_heads=2,
            num_vector_embeds=12,
            num_embeds_ada_norm=100,
            norm_type="ada_norm",
            sample_size=4,
            activation_fn="geglu-approximate",
        ),
        "scheduler": diffusers("VQDiffusionScheduler", num_vec_classes=12),
        "learned_classifier_free_sampling_embeddings": diffusers(
            "pipelines.deprecated.vq_diffusion:LearnedClassifierFreeSamplingEmbeddings", learnable=False
        ),
    },
    CALL,
)

RECIPES = {
    "UnCLIPPipeline": UNCLIP_CHAIN,
    "WuerstchenCombinedPipeline": WUERSTCHEN,
    "StableCascadeCombinedPipeline": CASCADE,
    "AmusedPipeline": AMUSED,
    "VQDiffusionPipeline": VQ,
}
