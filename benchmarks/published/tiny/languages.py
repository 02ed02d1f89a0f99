"""Tiny language models whose hidden states are the text of a pipeline."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.parts import Part, transformers
from benchmarks.published.tiny.tokenizers import QWEN_TOKENS, WORDS

_MULTIMODAL = {"type": "default", "rope_type": "default", "mrope_section": [1, 1, 2]}
"""Positions of Qwen's: time, height and width, for heads of eight channels."""


def values(width: int = 32, tokens: int = WORDS, layers: int = 2, **more: Any) -> dict[str, Any]:
    """What the configurations of most language models share."""
    return {
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
    } | more


def llama(width: int = 32, layers: int = 2, name: str = "LlamaModel", **more: Any) -> Part:
    """Llama."""
    return transformers(name, "LlamaConfig", **values(width, layers=layers, **more))


def gemma(version: str = "", width: int = 32) -> Part:
    """Gemma, "" for the first and "2" for the second."""
    more: dict[str, Any] = {"query_pre_attn_scalar": 8, "sliding_window": 512} if version else {}
    return transformers(f"Gemma{version}Model", f"Gemma{version}Config", **values(width, **more))


def glm(width: int = 32, name: str = "GlmModel") -> Part:
    """GLM."""
    return transformers(name, "GlmConfig", **values(width, layers=3, partial_rotary_factor=0.5))


def smollm3(width: int = 32, layers: int = 2) -> Part:
    """SmolLM 3, with all its tokens: the empty prompt is one of them, by number."""
    return transformers("SmolLM3ForCausalLM", "SmolLM3Config", **values(width, 128_001, layers))


def qwen3(width: int = 32, layers: int = 3, name: str = "Qwen3Model") -> Part:
    """Qwen 3."""
    return transformers(name, "Qwen3Config", **values(width, QWEN_TOKENS, layers))


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
    text = values(width, QWEN_TOKENS, layers, rope_scaling=dict(_MULTIMODAL))
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
        **values(width, QWEN_TOKENS, layers, **more),
    )


def qwen3_vl(width: int = 32, layers: int = 3, name: str = "Qwen3VLForConditionalGeneration") -> Part:
    """Qwen 3 VL, with its tower for pictures."""
    text = values(width, QWEN_TOKENS, layers, rope_scaling=dict(_MULTIMODAL))
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
    text = values(width, QWEN_TOKENS, layers, model_type="mistral")
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
    text = values(width, query_pre_attn_scalar=8, sliding_window=512)
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


def t5gemma(width: int = 32) -> Part:
    """The encoder of T5Gemma."""

    def make() -> Any:
        from transformers.models.t5gemma import configuration_t5gemma, modeling_t5gemma

        half = values(width, query_pre_attn_scalar=8, sliding_window=512)
        config = configuration_t5gemma.T5GemmaConfig(encoder=half, decoder=half, vocab_size=WORDS)
        return modeling_t5gemma.T5GemmaEncoder(config.encoder)

    return Part(make)


def t5gemma2(width: int = 32) -> Part:
    """The encoder of T5Gemma 2, with a tower for pictures."""
    text = values(width, query_pre_attn_scalar=8, sliding_window=512, dropout_rate=0.0)
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
    text = values(width, layers=layers, model_type="llama")
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
