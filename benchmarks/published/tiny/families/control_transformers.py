"""Transformers that follow a drawing or a clip of drawings: by a ControlNet, or by further channels of their latents."""

from __future__ import annotations

from benchmarks.published.tiny.families.calls import FIRST, GIVEN_CLIP
from benchmarks.published.tiny.families.cogvideox import COGVIDEOX, EASY, cogvideox_network, easy_network
from benchmarks.published.tiny.families.cogview import COGVIEW4, cogview4_network
from benchmarks.published.tiny.families.cosmos import COSMOS25
from benchmarks.published.tiny.families.flux import FLUX, flux_network
from benchmarks.published.tiny.families.lumina import Z_IMAGE
from benchmarks.published.tiny.families.pixart import HUNYUAN_DIT, HUNYUAN_DIT_NETWORK
from benchmarks.published.tiny.families.qwen_image import QWEN_IMAGE
from benchmarks.published.tiny.families.sana import SANA, sana_network
from benchmarks.published.tiny.families.stable_diffusion3 import SD3, SD3_NETWORK
from benchmarks.published.tiny.families.wan import VACE
from benchmarks.published.tiny.parts import Recipe, diffusers

IMAGE, VIDEO = "control-to-image", "control-to-video"

_SD3 = diffusers("SD3ControlNetModel", num_layers=1, **SD3_NETWORK)

_COSMOS = diffusers(
    "CosmosControlNetModel",
    n_controlnet_blocks=1,
    in_channels=18,
    latent_channels=18,
    model_channels=24,
    num_attention_heads=2,
    attention_head_dim=12,
    mlp_ratio=2.0,
    text_embed_dim=32,
    adaln_lora_dim=4,
    max_size=(4, 32, 32),
    rope_scale=(1.0, 4.0, 4.0),
    use_crossattn_projection=True,
    crossattn_proj_in_channels=64,
    encoder_hidden_states_channels=32,
)

_HUNYUAN = diffusers(
    "HunyuanDiT2DControlNetModel",
    transformer_num_layers=4,
    use_style_cond_and_image_meta_size=False,
    **HUNYUAN_DIT_NETWORK,
)

_QWEN = diffusers(
    "QwenImageControlNetModel",
    num_layers=1,
    attention_head_dim=16,
    num_attention_heads=2,
    joint_attention_dim=32,
    axes_dims_rope=(4, 6, 6),
)

_Z = diffusers(
    "ZImageControlNetModel",
    control_layers_places=[0],
    control_refiner_layers_places=[0],
    control_in_dim=16,
    dim=32,
    n_refiner_layers=1,
    n_heads=2,
    n_kv_heads=2,
)

FLUX_NET = FLUX.but(IMAGE, controlnet=flux_network("FluxControlNetModel", guidance_embeds=True)).called(
    control_image=FIRST
)

FLUX_CONTROL = FLUX.but(
    IMAGE, transformer=flux_network(in_channels=128, out_channels=64, guidance_embeds=True)
).called(control_image=FIRST)

RECIPES: dict[str, Recipe] = {
    "StableDiffusion3ControlNetPipeline": SD3.but(IMAGE, controlnet=_SD3).called(control_image=FIRST),
    "HunyuanDiTControlNetPipeline": HUNYUAN_DIT.but(IMAGE, controlnet=_HUNYUAN).called(control_image=FIRST),
    "FluxControlPipeline": FLUX_CONTROL,
    "FluxControlNetPipeline": FLUX_NET,
    "FluxControlNetPipeline:union": FLUX_NET.but(
        controlnet=flux_network("FluxControlNetModel", guidance_embeds=True, num_mode=3)
    ).called(control_mode=1),
    "QwenImageControlNetPipeline": QWEN_IMAGE.but(IMAGE, controlnet=_QWEN).called(control_image=FIRST),
    "SanaControlNetPipeline": SANA.but(
        IMAGE, controlnet=sana_network("SanaControlNetModel", num_layers=1)
    ).called(control_image=FIRST),
    "ZImageControlNetPipeline": Z_IMAGE.but(IMAGE, controlnet=_Z).called(control_image=FIRST),
    "CogView4ControlPipeline": COGVIEW4.but(
        IMAGE, transformer=cogview4_network(in_channels=32, out_channels=16)
    ).called(control_image=FIRST),
    "CogVideoXFunControlPipeline": COGVIDEOX.but(
        VIDEO, transformer=cogvideox_network(in_channels=32, use_rotary_positional_embeddings=True)
    ).called(control_video=GIVEN_CLIP, num_frames=...),
    "EasyAnimateControlPipeline": EASY.but(VIDEO, transformer=easy_network(in_channels=8)).called(
        control_video=GIVEN_CLIP
    ),
    "Cosmos2_5_TransferPipeline": COSMOS25.but(VIDEO, controlnet=_COSMOS)
    .called(controls=GIVEN_CLIP, num_frames_per_chunk=5)
    .needing("torchvision"),
    "WanVACEPipeline:control": VACE.but(VIDEO).called(video=GIVEN_CLIP),
}
