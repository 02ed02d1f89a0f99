"""Tiny autoencoders of clips, with the factors, channels and scales of published latent spaces."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.parts import Part, diffusers


def temporal_decoder() -> Part:
    """Stable Video Diffusion's: the encoder of Stable Diffusion, another decoder."""
    return diffusers(
        "AutoencoderKLTemporalDecoder",
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
    )


_WAN: dict[str, Any] = {
    "base_dim": 8,
    "dim_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
}


def wan() -> Part:
    """Wan 2.1's, 16 channels with the published means and deviations, factors 4, 8, 8."""
    return diffusers("AutoencoderKLWan", **_WAN)


def qwen_image() -> Part:
    """Qwen-Image's: the layers and statistics of :func:`wan`."""
    return diffusers("AutoencoderKLQwenImage", **_WAN)


def wan_5b() -> Part:
    """Wan 2.2's of 48 channels, factors 4, 16, 16."""
    values: dict[str, Any] = {
        "z_dim": 48,
        "decoder_base_dim": 8,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
        "latents_mean": [0.02 * (index % 7 - 3) for index in range(48)],
        "latents_std": [0.6 + 0.01 * index for index in range(48)],
    }
    return diffusers("AutoencoderKLWan", **(_WAN | values))


def ltx(channels: int = 8, **more: Any) -> Part:
    """LTX's, factors 8, 32, 32; its statistics are buffers."""
    values: dict[str, Any] = {
        "latent_channels": channels,
        "block_out_channels": (8,) * 4,
        "decoder_block_out_channels": (8,) * 4,
        "layers_per_block": (1,) * 5,
        "decoder_layers_per_block": (1,) * 5,
        "encoder_causal": True,
        "decoder_causal": False,
    }
    return diffusers("AutoencoderKLLTXVideo", **(values | more))


def cogvideox(**more: Any) -> Part:
    """CogVideoX's, 16 channels, factors 4, 8, 8."""
    values: dict[str, Any] = {
        "block_out_channels": (8,) * 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "scaling_factor": 0.7,
    }
    return diffusers("AutoencoderKLCogVideoX", **(values | more))


def hunyuan_video() -> Part:
    """HunyuanVideo's, 16 channels, factors 4, 8, 8."""
    return diffusers(
        "AutoencoderKLHunyuanVideo",
        block_out_channels=(8,) * 4,
        layers_per_block=1,
        norm_num_groups=4,
    )


def mochi() -> Part:
    """Mochi's, 12 channels with the published means and deviations, factors 6, 8, 8."""
    return diffusers(
        "AutoencoderKLMochi",
        encoder_block_out_channels=(32,) * 4,
        decoder_block_out_channels=(32,) * 4,
        layers_per_block=(1,) * 5,
    )


def allegro() -> Part:
    """Allegro's, 4 channels, factors 4, 8, 8, which decodes in tiles of 24 frames of 128 x 128 alone."""

    def make() -> Any:
        values = {
            "block_out_channels": (8,) * 4,
            "layers_per_block": 1,
            "norm_num_groups": 2,
            "sample_size": 128,
        }
        autoencoder = diffusers("AutoencoderKLAllegro", **values)()
        autoencoder.enable_tiling()
        return autoencoder

    return Part(make)


def magvit() -> Part:
    """EasyAnimate's, factors 4, 8, 8."""
    return diffusers(
        "AutoencoderKLMagvit",
        latent_channels=4,
        block_out_channels=(8,) * 4,
        layers_per_block=1,
        norm_num_groups=2,
    )


def hunyuan_video15() -> Part:
    """HunyuanVideo 1.5's with 8 channels, factors 4, 16, 16."""
    return diffusers(
        "AutoencoderKLHunyuanVideo15",
        latent_channels=8,
        block_out_channels=(16, 16, 32, 32, 32),
        layers_per_block=1,
    )


def cosmos() -> Part:
    """The first Cosmos', 16 channels with the published means and deviations, factors 8, 8, 8."""
    return diffusers(
        "AutoencoderKLCosmos",
        encoder_block_out_channels=(8,) * 4,
        decode_block_out_channels=(8,) * 4,
        attention_resolutions=(8,),
        resolution=64,
        num_layers=1,
    )


def qwen_image21() -> Part:
    """Qwen-Image 2.1's, 64 channels with the published means and deviations, factor 16."""
    return diffusers(
        "AutoencoderKLQwenImage21", base_dim=8, decoder_base_dim=8, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1
    )
