"""Tiny language models that see pictures; most pipelines give them texts alone."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components.languages import shape
from benchmarks.published.tiny.components.tokenizers import QWEN_TOKENS, WORDS
from benchmarks.published.tiny.parts import Part, transformers

_MULTIMODAL = {"type": "default", "rope_type": "default", "mrope_section": [1, 1, 2]}
"""Positions of Qwen's: time, height and width, for heads of eight channels."""

_VISION: dict[str, Any] = {"depth": 2, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2}

_TOKENS = {
    "vision_start_token_id": 259,
    "vision_end_token_id": 260,
    "image_token_id": 261,
    "video_token_id": 262,
}


def qwen_vl(
    width: int = 32,
    layers: int = 2,
    name: str = "Qwen2_5_VLForConditionalGeneration",
    config: str = "Qwen2_5_VLConfig",
) -> Part:
    """Qwen 2.5 VL, or 2 VL, whose tower for pictures no text-to-image pipeline calls."""
    text = shape(width, QWEN_TOKENS, layers, rope_scaling=dict(_MULTIMODAL))
    if "2_5" in config:
        vision = _VISION | {
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "out_hidden_size": width,
            "fullatt_block_indexes": [1],
        }
    else:
        vision = _VISION | {"embed_dim": width, "hidden_size": width, "mlp_ratio": 2}
    return transformers(name, config, text_config=text, vision_config=vision, **_TOKENS)


def qwen_vl_text(width: int = 32, layers: int = 2) -> Part:
    """The language model of Qwen 2.5 VL alone."""
    more = {"rope_scaling": dict(_MULTIMODAL)}
    return transformers(
        "models.qwen2_5_vl.modeling_qwen2_5_vl:Qwen2_5_VLTextModel",
        "models.qwen2_5_vl.configuration_qwen2_5_vl:Qwen2_5_VLTextConfig",
        **shape(width, QWEN_TOKENS, layers, **more),
    )


def qwen3_vl(width: int = 32, layers: int = 3, name: str = "Qwen3VLForConditionalGeneration") -> Part:
    """Qwen 3 VL, with its tower for pictures."""
    text = shape(width, QWEN_TOKENS, layers, rope_scaling=dict(_MULTIMODAL))
    vision = _VISION | {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "out_hidden_size": width,
        "deepstack_visual_indexes": [0],
        "num_position_embeddings": 16,
    }
    return transformers(name, "Qwen3VLConfig", text_config=text, vision_config=vision, **_TOKENS)


def mistral3(width: int = 32, layers: int = 3, name: str = "Mistral3ForConditionalGeneration") -> Part:
    """Mistral 3, with its tower for pictures."""
    text = shape(width, QWEN_TOKENS, layers, model_type="mistral")
    vision = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 8,
        "image_size": 28,
        "patch_size": 14,
    }
    return transformers(name, "Mistral3Config", text_config=text, vision_config=vision, image_token_index=261)


def gemma3_vl(width: int = 32) -> Part:
    """Gemma 3 with its tower for pictures, which no text-to-video pipeline calls."""
    text = shape(width, query_pre_attn_scalar=8, sliding_window=512)
    vision = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    more = {"mm_tokens_per_image": 4, "image_token_index": WORDS - 1}
    return transformers(
        "Gemma3ForConditionalGeneration", "Gemma3Config", text_config=text, vision_config=vision, **more
    )


def t5gemma2(width: int = 32) -> Part:
    """The encoder of T5Gemma 2, with a tower for pictures."""
    text = shape(width, query_pre_attn_scalar=8, sliding_window=512, dropout_rate=0.0)
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    return transformers(
        "T5Gemma2Encoder",
        "models.t5gemma2.configuration_t5gemma2:T5Gemma2EncoderConfig",
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=4,
        image_token_index=WORDS - 1,
    )


def llava(width: int = 32, layers: int = 2) -> Part:
    """Llava: Llama that sees a picture through CLIP, as four tokens."""
    text = shape(width, layers=layers, model_type="llama")
    vision = {
        "model_type": "clip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 224,
        "patch_size": 112,
        "projection_dim": 16,
    }
    more = {"image_token_index": 6, "pad_token_id": 3}
    return transformers(
        "LlavaForConditionalGeneration", "LlavaConfig", text_config=text, vision_config=vision, **more
    )
