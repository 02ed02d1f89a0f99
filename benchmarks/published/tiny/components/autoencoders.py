"""Tiny autoencoders of pictures, with the channels and scales of published latent spaces."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.parts import Part, diffusers


def kl(channels: int = 4, scale: float = 0.18215, shift: float | None = None, **more: Any) -> Part:
    """The autoencoder of pictures, factor 8, with the encoder of :func:`temporal_decoder`."""
    values: dict[str, Any] = {
        "block_out_channels": (32,) * 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": channels,
        "scaling_factor": scale,
        "shift_factor": shift,
    }
    return diffusers("AutoencoderKL", **(values | more))


def kl_without_quantization(channels: int, scale: float, shift: float, **more: Any) -> Part:
    """The autoencoder of Flux and Stable Diffusion 3."""
    return kl(channels, scale, shift, use_quant_conv=False, use_post_quant_conv=False, **more)


def flux(**more: Any) -> Part:
    """Flux 1's latent space."""
    return kl_without_quantization(16, 0.3611, 0.1159, **more)


def flux2(channels: int = 8) -> Part:
    """Flux 2's: normalized by patch, with the statistics of a batch normalization."""
    return diffusers(
        "AutoencoderKLFlux2", block_out_channels=(32,) * 4, layers_per_block=1, latent_channels=channels
    )


def deep_compression() -> Part:
    """Sana's, factor 4 here: a residual encoder that moves pixels into channels."""
    return diffusers(
        "AutoencoderDC",
        latent_channels=4,
        attention_head_dim=8,
        encoder_block_out_channels=(8, 16, 16, 16),
        decoder_block_out_channels=(8, 16, 16, 16),
        encoder_layers_per_block=(1,) * 4,
        decoder_layers_per_block=(1,) * 4,
        encoder_qkv_multiscales=((),) * 4,
        decoder_qkv_multiscales=((),) * 4,
        scaling_factor=0.41407,
    )


def hunyuan_image() -> Part:
    """HunyuanImage's, factor 8 here."""
    return diffusers(
        "AutoencoderKLHunyuanImage",
        in_channels=3,
        out_channels=3,
        latent_channels=16,
        block_out_channels=(32,) * 4,
        layers_per_block=1,
        spatial_compression_ratio=8,
        sample_size=64,
        scaling_factor=0.75289,
    )


def tiny() -> Part:
    """The tiny autoencoder of Stable Diffusion's latent space, factor 8."""
    return diffusers(
        "AutoencoderTiny",
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    )
