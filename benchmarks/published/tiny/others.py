"""Classes with inputs or parts of their own: a picture seen by a language model, a camera's path, boxes, two towers."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny import autoencoders, encoders, languages, schedulers, tokenizers
from benchmarks.published.tiny.clips import HUNYUAN, hunyuan_video
from benchmarks.published.tiny.images import GEMMA2
from benchmarks.published.tiny.ltx import AUTOENCODER_2
from benchmarks.published.tiny.parts import Part, Recipe, diffusers, picture
from benchmarks.published.tiny.safety import PassingChecker
from benchmarks.published.tiny.unets import PICTURE, SD, unet
from benchmarks.published.tiny.wan import GIVEN, WAN

LLAVA = HUNYUAN.but(
    "image-to-video",
    text_encoder=languages.llava(layers=4),
    transformer=hunyuan_video(image_condition_type="token_replace"),
    image_processor=encoders.clip_pictures(),
).called(
    image=GIVEN,
    guidance_scale=1.0,
    image_embed_interleave=1,
    prompt_template={
        "template": "<|start_header_id|><|end_header_id|><image><|start_header_id|><|end_header_id|>{}"
        "<|start_header_id|><|end_header_id|>",
        "crop_start": 6,
        "image_emb_len": 4,
        "image_emb_start": 3,
        "image_emb_end": 7,
    },
)

BOXES = SD.but(
    scheduler=schedulers.ddim(),
    processor=encoders.clip_processor(),
    image_encoder=encoders.clip_vision(16, projection=16),
    image_project=diffusers(
        "pipelines.stable_diffusion.clip_image_project_model:CLIPImageProjection", hidden_size=16
    ),
    unet=unet(16, attention_type="gated-text-image"),
    feature_extractor=None,
).called(
    gligen_phrases=["a cat"],
    gligen_images=Part(lambda: [picture(32, 32)()]),
    gligen_boxes=[[0.1, 0.1, 0.6, 0.7]],
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
        "clip_image_processor": encoders.clip_pictures(),
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

SANA_WM = Recipe(
    "image-to-video",
    {
        **GEMMA2,
        "vae": diffusers("AutoencoderKLLTX2Video", **AUTOENCODER_2),
        "transformer": diffusers(
            "SanaWMTransformer3DModel",
            in_channels=8,
            num_layers=2,
            hidden_size=32,
            num_attention_heads=2,
            softmax_every_n=2,
            linear_head_dim=16,
            caption_channels=32,
            image_size=64,
            chunk_plucker_post_attn_blocks=2,
            mixed_precision="fp32",
        ),
        "scheduler": schedulers.flow(3.0),
    },
    {
        "image": picture(64, 96),
        "prompt": "a red cat",
        "action": "w-9",
        "intrinsics": [60.0, 60.0, 48.0, 32.0],
        "height": 64,
        "width": 96,
        "num_frames": 9,
        "num_inference_steps": 3,
        "guidance_scale": 3.0,
        "max_sequence_length": 32,
    },
)

_OMNI: dict[str, Any] = {
    "head_dim": 16,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
    "latent_channel": 16,
    "patch_latent_dim": 64,
    "vocab_size": tokenizers.QWEN_TOKENS,
    "rope_scaling": {"mrope_section": [4, 2, 2]},
    "dtype": "float32",
}
OMNI = Recipe(
    "text-to-video",
    {
        "transformer": diffusers("Cosmos3OmniTransformer", **_OMNI),
        "text_tokenizer": tokenizers.qwen(),
        "vae": autoencoders.wan(),
        "scheduler": schedulers.unipc_flow(),
        "safety_checker": Part(PassingChecker),
        "enable_safety_checker": False,
    },
    WAN.called(max_sequence_length=...).arguments,
)

RECIPES = {
    "HunyuanVideoImageToVideoPipeline": LLAVA,
    "StableDiffusionGLIGENTextImagePipeline": BOXES,
    "VersatileDiffusionTextToImagePipeline": VERSATILE,
    "UniDiffuserPipeline": UNIDIFFUSER,
    "SanaWMPipeline": SANA_WM,
    "Cosmos3OmniPipeline": OMNI,
}
