"""Tiny language models whose hidden states are the text of a pipeline."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components.tokenizers import QWEN_TOKENS, WORDS
from benchmarks.published.tiny.parts import Part, transformers


def shape(width: int = 32, tokens: int = WORDS, layers: int = 2, **more: Any) -> dict[str, Any]:
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
    return transformers(name, "LlamaConfig", **shape(width, layers=layers, **more))


def gemma(version: str = "", width: int = 32) -> Part:
    """Gemma, "" for the first and "2" for the second."""
    more: dict[str, Any] = {"query_pre_attn_scalar": 8, "sliding_window": 512} if version else {}
    return transformers(f"Gemma{version}Model", f"Gemma{version}Config", **shape(width, **more))


def glm(width: int = 32, name: str = "GlmModel") -> Part:
    """GLM."""
    return transformers(name, "GlmConfig", **shape(width, layers=3, partial_rotary_factor=0.5))


def smollm3(width: int = 32, layers: int = 2) -> Part:
    """SmolLM 3, with all its tokens: the empty prompt is one of them, by number."""
    return transformers("SmolLM3ForCausalLM", "SmolLM3Config", **shape(width, 128_001, layers))


def qwen3(width: int = 32, layers: int = 3, name: str = "Qwen3Model") -> Part:
    """Qwen 3."""
    return transformers(name, "Qwen3Config", **shape(width, QWEN_TOKENS, layers))


def t5gemma(width: int = 32) -> Part:
    """The encoder of T5Gemma."""

    def make() -> Any:
        from transformers.models.t5gemma import configuration_t5gemma, modeling_t5gemma

        half = shape(width, query_pre_attn_scalar=8, sliding_window=512)
        config = configuration_t5gemma.T5GemmaConfig(encoder=half, decoder=half, vocab_size=WORDS)
        return modeling_t5gemma.T5GemmaEncoder(config.encoder)

    return Part(make)
