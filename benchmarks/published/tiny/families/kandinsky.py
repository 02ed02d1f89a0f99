"""Kandinsky 1 to 3: UNets conditioned on an embedding that a prior draws, or on a text."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import encoders, processors, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import PICTURE
from benchmarks.published.tiny.families.stable_diffusion import unet
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

_PRIOR: dict[str, Any] = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1}

PRIOR = diffusers("PriorTransformer", embedding_dim=16, num_embeddings=77, **_PRIOR)

UNCLIP = diffusers(
    "UnCLIPScheduler", prediction_type="sample", num_train_timesteps=1000, clip_sample_range=5.0
)


def movq(**more: Any) -> Part:
    """Kandinsky's quantized autoencoder, factor 8."""
    values: dict[str, Any] = {
        "block_out_channels": (32,) * 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": 4,
        "num_vq_embeddings": 12,
        "norm_type": "spatial",
        "vq_embed_dim": 4,
    }
    return diffusers("VQModel", **(values | more))


SIMPLE: dict[str, Any] = {
    "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
    "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "resnet_time_scale_shift": "scale_shift",
}
"""The UNet of unCLIP's descendants."""

_PRIOR_PARTS: dict[str, Any] = {
    "prior_prior": PRIOR,
    "prior_image_encoder": encoders.clip_vision(16),
    "prior_text_encoder": encoders.clip(16, projection=16),
    "prior_tokenizer": tokenizers.clip(),
    "prior_scheduler": UNCLIP,
    "prior_image_processor": processors.clip_pictures(),
}

KANDINSKY22 = Recipe(
    "text-to-image",
    {
        "unet": unet(
            16,
            out_channels=8,
            addition_embed_type="image",
            encoder_hid_dim=16,
            encoder_hid_dim_type="image_proj",
            **SIMPLE,
        ),
        "scheduler": diffusers(
            "DDPMScheduler",
            variance_type="learned_range",
            thresholding=True,
            sample_max_value=2.0,
            clip_sample=False,
        ),
        "movq": movq(),
        **_PRIOR_PARTS,
    },
    PICTURE | {"prior_num_inference_steps": 2},
)

KANDINSKY3 = Recipe(
    "text-to-image",
    {
        "tokenizer": tokenizers.t5(128),
        "text_encoder": encoders.t5(),
        "unet": diffusers(
            "Kandinsky3UNet",
            in_channels=4,
            time_embedding_dim=16,
            groups=4,
            attention_head_dim=4,
            layers_per_block=2,
            block_out_channels=(16, 16, 16, 16),
            cross_attention_dim=32,
            encoder_hid_dim=32,
        ),
        "scheduler": diffusers("DDPMScheduler", beta_schedule="squaredcos_cap_v2", clip_sample=False),
        "movq": movq(),
    },
    PICTURE,
)

KANDINSKY = KANDINSKY22.but(
    text_encoder=encoders.xlm_roberta(
        "pipelines.kandinsky.text_encoder:MultilingualCLIP",
        "pipelines.kandinsky.text_encoder:MCLIPConfig",
        transformerDimSize=32,
        imageDimSize=16,
        pad_token_id=1,
    ),
    tokenizer=tokenizers.xlm_roberta(),
    unet=unet(
        16,
        out_channels=8,
        addition_embed_type="text_image",
        addition_embed_type_num_heads=2,
        encoder_hid_dim=32,
        encoder_hid_dim_type="text_image_proj",
        **SIMPLE,
    ),
    scheduler=schedulers.ddim(beta_schedule="linear", thresholding=False),
)

RECIPES = {
    "KandinskyCombinedPipeline": KANDINSKY,
    "KandinskyV22CombinedPipeline": KANDINSKY22,
    "Kandinsky3Pipeline": KANDINSKY3,
}
