"""Models of quantized pictures, which draw tokens."""

from __future__ import annotations

from benchmarks.published.tiny.components import encoders, tokenizers
from benchmarks.published.tiny.families.calls import PROMPT
from benchmarks.published.tiny.parts import Recipe, diffusers

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
    PROMPT | {"height": 16, "width": 16},
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
    PROMPT,
)

RECIPES = {
    "AmusedPipeline": AMUSED,
    "VQDiffusionPipeline": VQ,
}
