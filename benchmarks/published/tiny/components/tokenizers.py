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


TEMPLATE = (
    "Describe the image by detailing the color shape size texture quantity text spatial relationships of the objects "
    "and background"
)
"""Words of the templates around prompts: a token each, so that a prompt is not cut off after so many tokens."""


def _merges() -> list[tuple[str, str]]:
    """Pairs that join letter after letter to the words of the templates."""
    pairs: dict[tuple[str, str], None] = {}
    for word in TEMPLATE.split():
        joined = "Ġ"
        for letter in word:
            pairs[joined, letter] = None
            joined += letter
    return list(pairs)


def _qwen_pieces() -> list[str]:
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    pictures = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    return [*_byte_pieces(), *marks, *pictures, *(first + second for first, second in _merges())]


QWEN_TOKENS = len(_qwen_pieces())


def qwen(length: int = 2048) -> Part:
    """Qwen's: bytes, chat markers, padding on the right."""
    pieces = _qwen_pieces()
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return processor(
        "Qwen2Tokenizer",
        vocab=vocabulary,
        merges=_merges(),
        model_max_length=length,
        padding_side="right",
        additional_special_tokens=[piece for piece in pieces if piece.startswith("<|")],
        chat_template=CHAT,
    )


def llama(length: int = 512, side: str = "right") -> Part:
    """Llama's: characters with a space before, a start token, marks of headers and pictures."""
    marks = ["<|start_header_id|>", "<|end_header_id|>", "<image>"]
    pieces = ["<unk>", "<s>", "</s>", "<pad>", *marks, "▁", "\n", *CHARACTERS]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return processor(
        "LlamaTokenizer",
        vocab=vocabulary,
        merges=[],
        add_bos_token=True,
        pad_token="<pad>",
        additional_special_tokens=marks,
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
        add_bos_token=True,
        model_max_length=length,
        padding_side=side,
        chat_template=CHAT,
    )


WORDS = 128
"""Rows of the embedding of every encoder but CLIP's and Qwen's: more than the tokens above."""


def bert(length: int = 77) -> Part:
    """BERT's: pieces of words, [CLS] and [SEP] around them."""
    letters = [letter for letter in CHARACTERS if not letter.isupper()]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return processor("BertTokenizer", vocab=vocabulary, model_max_length=length)


BERT_TOKENS = 2 * sum(not letter.isupper() for letter in CHARACTERS) + 5


def xlm_roberta(length: int = 77) -> Part:
    """XLM-RoBERTa's: unigrams between two marks."""
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [*special, *((piece, -3.0) for piece in ["▁", *CHARACTERS]), ("<mask>", 0.0)]
    return processor("XLMRobertaTokenizer", vocab=pieces, model_max_length=length)


def byt5(length: int = 128) -> Part:
    """ByT5's: bytes, without a vocabulary."""
    return processor("ByT5Tokenizer", extra_ids=0, model_max_length=length)


BYTE_TOKENS = 259
