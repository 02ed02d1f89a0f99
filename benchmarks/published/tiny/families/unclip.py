"""UNets conditioned on a picture's embedding that a prior draws from the text."""

from __future__ import annotations

from benchmarks.published.tiny.components import autoencoders, encoders, schedulers, tokenizers
from benchmarks.published.tiny.families.calls import PICTURE
from benchmarks.published.tiny.families.kandinsky import PRIOR, SIMPLE, UNCLIP
from benchmarks.published.tiny.families.stable_diffusion import unet
from benchmarks.published.tiny.parts import Part, Recipe, diffusers

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

RECIPES = {
    "StableUnCLIPPipeline": UNCLIP_SD,
    "UnCLIPPipeline": UNCLIP_CHAIN,
}
