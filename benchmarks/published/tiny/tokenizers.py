"""Tokenizers without files: a token for each character of printable ASCII."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.parts import Part, processor

CHARACTERS = [chr(code) for code in range(33, 127)]

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for each in message['content'] %}{{ each['text'] }}{% endfor %}{% endif %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant: {% endif %}"
)
"""A chat as text; contents are strings or lists of typed entries."""


def clip(length: int = 77, **values: Any) -> Part:
    """CLIP's: lower case, a start token, an end token that is also the padding. 130 tokens or so."""
    letters = [letter for letter in CHARACTERS if not letter.isupper()]
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return processor("CLIPTokenizer", vocab=vocabulary, merges=[], model_max_length=length, **values)


CLIP_TOKENS = 2 * sum(not letter.isupper() for letter in CHARACTERS) + 2


def t5(length: int = 512) -> Part:
    """T5's: unigrams, an end token, padding on the right."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = special + [(piece, -3.0) for piece in ["▁", *CHARACTERS]]
    return processor("T5Tokenizer", vocab=pieces, extra_ids=0, model_max_length=length)


def _byte_pieces() -> list[str]:
    """The 256 letters by which byte-level tokenizers write bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(code) for code in kept] + [chr(256 + index) for index in range(256 - len(kept))]


def qwen(length: int = 2048, name: str = "Qwen2Tokenizer") -> Part:
    """Qwen's: bytes, chat markers, padding on the right."""
    pieces = [*_byte_pieces(), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces + special)}
    return processor(
        name,
        vocab=vocabulary,
        merges=[],
        model_max_length=length,
        padding_side="right",
        additional_special_tokens=["<|im_start|>", "<|im_end|>", *special],
        chat_template=CHAT,
    )


QWEN_TOKENS = 263


def llama(length: int = 512, side: str = "right", name: str = "LlamaTokenizer") -> Part:
    """Llama's: characters with a space before, a start token, padding as published (right)."""
    pieces = ["<unk>", "<s>", "</s>", "<pad>", "▁", "\n", *CHARACTERS]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return processor(
        name,
        vocab=vocabulary,
        merges=[],
        pad_token="<pad>",
        model_max_length=length,
        padding_side=side,
        chat_template=CHAT,
    )


def gemma(length: int = 512, side: str = "right") -> Part:
    """Gemma's: characters, a start token."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", "\n", *CHARACTERS]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return processor(
        "GemmaTokenizer",
        vocab=vocabulary,
        merges=[],
        model_max_length=length,
        padding_side=side,
        chat_template=CHAT,
    )


WORDS = 128
"""Rows of the embedding of every encoder but CLIP's and Qwen's: more than the tokens above."""
