"""Early models: latent diffusion, IF, and texts of other encoders than CLIP."""

from __future__ import annotations

from benchmarks.published.tiny.components import autoencoders, encoders, processors, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import PICTURE, PROMPT
from benchmarks.published.tiny.families.kandinsky import SIMPLE
from benchmarks.published.tiny.families.stable_diffusion import unet
from benchmarks.published.tiny.parts import Recipe, diffusers

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
    PROMPT | {"height": 16, "width": 16, "clean_caption": False},
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

VERSATILE = Recipe(
    "text-to-image",
    {
        "tokenizer": tokenizers.clip(),
        "text_encoder": encoders.clip(16, projection=16),
        "image_unet": unet(),
        "text_unet": None,
        "vae": autoencoders.kl(),
        "scheduler": schedulers.ddim(),
    },
    PICTURE,
)

UNIDIFFUSER = Recipe(
    "text-to-image",
    {
        "vae": autoencoders.kl(),
        "text_encoder": encoders.clip(32),
        "image_encoder": encoders.clip_vision(16),
        "clip_image_processor": processors.clip_pictures(),
        "clip_tokenizer": tokenizers.clip(),
        "text_decoder": diffusers(
            "UniDiffuserTextDecoder",
            prefix_length=77,
            prefix_inner_dim=32,
            prefix_hidden_dim=32,
            vocab_size=tokenizers.QWEN_TOKENS,
            n_positions=128,
            n_embd=32,
            n_layer=1,
            n_head=2,
        ),
        "text_tokenizer": tokenizers.qwen(),
        "unet": diffusers(
            "UniDiffuserModel",
            text_dim=32,
            clip_img_dim=16,
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            sample_size=8,
            patch_size=2,
            activation_fn="gelu",
            num_embeds_ada_norm=1000,
            attention_bias=True,
            use_data_type_embedding=True,
        ),
        "scheduler": diffusers("DPMSolverMultistepScheduler", **schedulers.BETAS, solver_order=3),
    },
    PICTURE,
)

RECIPES = {
    "AltDiffusionPipeline": ALT,
    "IFPipeline": IF,
    "LDMTextToImagePipeline": LDM,
    "VersatileDiffusionTextToImagePipeline": VERSATILE,
    "UniDiffuserPipeline": UNIDIFFUSER,
}
