"""Tiny text and picture encoders of the published kinds, two layers each."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.parts import Part, processor, transformers
from benchmarks.published.tiny.tokenizers import CLIP_TOKENS, QWEN_TOKENS, WORDS

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


def clip_pictures(size: int = 224) -> Part:
    """What prepares pictures for CLIP."""
    sizes = {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}
    return processor("CLIPImageProcessorPil", **sizes)


def t5(width: int = 32, name: str = "T5EncoderModel", config: str = "T5Config") -> Part:
    """T5's encoder, gated as in version 1.1."""
    return transformers(
        name,
        config,
        vocab_size=WORDS,
        d_model=width,
        d_kv=8,
        d_ff=2 * width,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )


def umt5(width: int = 32) -> Part:
    """UMT5's encoder: relative positions in every layer."""
    return t5(width, "UMT5EncoderModel", "UMT5Config")


def decoder(
    name: str, config: str, width: int = 32, tokens: int = WORDS, layers: int = 2, **more: Any
) -> Part:
    """A language model whose hidden states are the text: Llama, Gemma, Qwen and the like."""
    values: dict[str, Any] = {
        "vocab_size": tokens,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": width // 4,
        "max_position_embeddings": 4096,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return transformers(name, config, **(values | more))


def llama(width: int = 32, layers: int = 2, name: str = "LlamaModel", **more: Any) -> Part:
    """Llama."""
    return decoder(name, "LlamaConfig", width, layers=layers, **more)


def qwen_vl(width: int = 32, layers: int = 2, name: str = "Qwen2_5_VLForConditionalGeneration") -> Part:
    """Qwen 2.5 VL, whose tower for pictures no text-to-image pipeline calls."""
    text = {
        "vocab_size": QWEN_TOKENS,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_scaling": {"type": "default", "mrope_section": [1, 1, 2], "rope_type": "default"},
    }
    vision = {
        "depth": 2,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_heads": 2,
        "out_hidden_size": width,
        "fullatt_block_indexes": [1],
    }
    tokens = {
        "vision_start_token_id": 259,
        "vision_end_token_id": 260,
        "image_token_id": 261,
        "video_token_id": 262,
    }
    return transformers(name, "Qwen2_5_VLConfig", text_config=text, vision_config=vision, **tokens)


def gemma3_vl(width: int = 32) -> Part:
    """Gemma 3 with its tower for pictures, which no text-to-video pipeline calls."""
    text = {
        "vocab_size": WORDS,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "sliding_window": 512,
    }
    vision = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    values = {
        "text_config": text,
        "vision_config": vision,
        "mm_tokens_per_image": 4,
        "image_token_index": WORDS - 1,
    }
    return transformers("Gemma3ForConditionalGeneration", "Gemma3Config", **values)
