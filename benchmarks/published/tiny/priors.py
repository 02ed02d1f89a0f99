"""UNets conditioned on a picture's embedding that a prior draws from the text, or on language models."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, schedulers, tokenizers
from benchmarks.published.tiny.parts import Part, Recipe, diffusers
from benchmarks.published.tiny.unets import CALL, PICTURE, unet

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
    "prior_image_processor": encoders.clip_pictures(),
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

IF = Recipe(
    "text-to-image",
    {
        "tokenizer": tokenizers.t5(),
        "text_encoder": encoders.t5(),
        "unet": unet(
            32,
            in_channels=3,
            out_channels=6,
            sample_size=16,
            encoder_hid_dim=32,
            encoder_hid_dim_type="text_proj",
            **SIMPLE,
        ),
        "scheduler": diffusers(
            "DDPMScheduler",
            beta_schedule="squaredcos_cap_v2",
            variance_type="learned_range",
            thresholding=True,
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "watermarker": None,
        "requires_safety_checker": False,
    },
    CALL | {"height": 16, "width": 16, "clean_caption": False},
)

LDM = Recipe(
    "text-to-image",
    {
        "vqvae": autoencoders.kl(),
        "bert": encoders.ldm_bert(),
        "tokenizer": tokenizers.bert(),
        "unet": unet(16),
        "scheduler": schedulers.ddim(),
    },
    PICTURE,
)

UNCLIP_SD = Recipe(
    "text-to-image",
    {
        "prior_tokenizer": tokenizers.clip(),
        "prior_text_encoder": encoders.clip(16, projection=16),
        "prior": PRIOR,
        "prior_scheduler": UNCLIP,
        "image_normalizer": diffusers(
            "pipelines.stable_diffusion:StableUnCLIPImageNormalizer", embedding_dim=16
        ),
        "image_noising_scheduler": diffusers("DDPMScheduler", beta_schedule="squaredcos_cap_v2"),
        "tokenizer": tokenizers.clip(),
        "text_encoder": encoders.clip(24),
        "unet": unet(
            24,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=32,
            use_linear_projection=True,
        ),
        "scheduler": schedulers.ddim(prediction_type="v_prediction"),
        "vae": autoencoders.kl(),
    },
    PICTURE | {"prior_num_inference_steps": 2},
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

ALT = Recipe(
    "text-to-image",
    {
        "vae": autoencoders.kl(),
        "text_encoder": encoders.xlm_roberta(
            "pipelines.deprecated.alt_diffusion.modeling_roberta_series:RobertaSeriesModelWithTransformation",
            "pipelines.deprecated.alt_diffusion.modeling_roberta_series:RobertaSeriesConfig",
            project_dim=16,
        ),
        "tokenizer": tokenizers.xlm_roberta(),
        "unet": unet(16),
        "scheduler": schedulers.ddim(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    },
    PICTURE,
)

RECIPES = {
    "KandinskyCombinedPipeline": KANDINSKY,
    "AltDiffusionPipeline": ALT,
    "KandinskyV22CombinedPipeline": KANDINSKY22,
    "Kandinsky3Pipeline": KANDINSKY3,
    "IFPipeline": IF,
    "LDMTextToImagePipeline": LDM,
    "StableUnCLIPPipeline": UNCLIP_SD,
}
