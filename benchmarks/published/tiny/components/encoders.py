"""Tiny encoders of texts and pictures, two layers each; language models are in :mod:`languages`."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components.tokenizers import BERT_TOKENS, BYTE_TOKENS, CLIP_TOKENS, WORDS
from benchmarks.published.tiny.parts import Part, transformers

_CLIP: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "quick_gelu"}


def clip(width: int = 16, projection: int | None = None, length: int = 77) -> Part:
    """CLIP's text encoder; with a projection, the class that has one."""
    values = _CLIP | {
        "vocab_size": CLIP_TOKENS,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "projection_dim": projection or width,
        "max_position_embeddings": length,
        "bos_token_id": CLIP_TOKENS - 2,
        "eos_token_id": CLIP_TOKENS - 1,
        "pad_token_id": CLIP_TOKENS - 1,
    }
    return transformers(
        "CLIPTextModel" if projection is None else "CLIPTextModelWithProjection", "CLIPTextConfig", **values
    )


def clip_vision(width: int = 16, projection: int | None = 16, size: int = 224) -> Part:
    """CLIP's picture encoder; with a projection, the class that has one."""
    name = "CLIPVisionModel" if projection is None else "CLIPVisionModelWithProjection"
    values = _CLIP | {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "projection_dim": projection or width,
    }
    return transformers(name, "CLIPVisionConfig", image_size=size, patch_size=size // 2, **values)


def t5(width: int = 32, name: str = "T5EncoderModel", config: str = "T5Config", tokens: int = WORDS) -> Part:
    """T5's encoder, gated as in version 1.1."""
    return transformers(
        name,
        config,
        vocab_size=tokens,
        d_model=width,
        d_kv=8,
        d_ff=2 * width,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )


def byt5(width: int = 32) -> Part:
    """ByT5's encoder, of bytes."""
    return t5(width, tokens=BYTE_TOKENS)


def umt5(width: int = 32) -> Part:
    """UMT5's encoder: relative positions in every layer."""
    return t5(width, "UMT5EncoderModel", "UMT5Config")


_BERT: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 130}


def bert(width: int = 32) -> Part:
    """BERT."""
    return transformers(
        "BertModel",
        "BertConfig",
        vocab_size=BERT_TOKENS,
        hidden_size=width,
        intermediate_size=2 * width,
        **_BERT,
    )


def xlm_roberta(name: str, config: str, width: int = 32, **more: Any) -> Part:
    """XLM-RoBERTa inside a class of diffusers."""
    values = _BERT | {"vocab_size": WORDS, "hidden_size": width, "intermediate_size": 2 * width} | more
    return transformers(name, config, library="diffusers", **values)


def ldm_bert(width: int = 16) -> Part:
    """The text encoder of the first latent diffusion model."""
    return transformers(
        "pipelines.latent_diffusion.pipeline_latent_diffusion:LDMBertModel",
        "pipelines.latent_diffusion.pipeline_latent_diffusion:LDMBertConfig",
        library="diffusers",
        vocab_size=BERT_TOKENS,
        encoder_layers=2,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        head_dim=8,
        d_model=width,
    )


def siglip(width: int = 16, size: int = 32) -> Part:
    """SigLIP's picture encoder."""
    values = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    return transformers(
        "SiglipVisionModel", "SiglipVisionConfig", **values, image_size=size, patch_size=size // 2
    )


def siglip2(width: int = 16) -> Part:
    """SigLIP 2's picture encoder, of any number of patches."""
    values = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    return transformers("Siglip2VisionModel", "Siglip2VisionConfig", **values, num_patches=16, patch_size=16)
