"""What prepares pictures for encoders, alone or with texts, and tokenizers that need a package."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import tokenizers
from benchmarks.published.tiny.components.tokenizers import CHARACTERS, CHAT, qwen
from benchmarks.published.tiny.parts import Part, processor


def qwen3_vl() -> Part:
    """Qwen 3 VL's processor of texts, pictures and clips, with the tokenizer of :func:`qwen`."""

    def make() -> Any:
        import transformers

        parts = {name: getattr(transformers, f"{kind}")() for name, kind in _VISUAL.items()}
        return transformers.Qwen3VLProcessor(tokenizer=qwen()(), chat_template=CHAT, **parts)

    return Part(make)


_VISUAL = {"image_processor": "Qwen2VLImageProcessor", "video_processor": "Qwen3VLVideoProcessor"}


def chatglm() -> Part:
    """ChatGLM's, with a model of characters that sentencepiece trains on the spot."""

    def make() -> Any:
        import tempfile
        from io import BytesIO
        from pathlib import Path

        import sentencepiece
        from diffusers.pipelines.kolors import ChatGLMTokenizer

        model = BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([" ".join(CHARACTERS)]),
            model_writer=model,
            model_type="char",
            vocab_size=GLM_TOKENS - 9,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name) / "tokenizer.model"
        path.write_bytes(model.getvalue())
        tokenizer = ChatGLMTokenizer(str(path))
        tokenizer.folder = folder  # as long as the tokenizer, which copies the file when it is saved
        return tokenizer

    return Part(make)


GLM_TOKENS = 107
"""Characters and the nine marks of a chat."""


def clip_pictures(size: int = 224) -> Part:
    """What prepares pictures for CLIP."""
    sizes = {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}
    return processor("CLIPImageProcessorPil", **sizes)


def clip_processor(size: int = 224) -> Part:
    """What prepares texts and pictures for CLIP together."""

    def make() -> Any:
        from transformers import CLIPProcessor

        return CLIPProcessor(image_processor=clip_pictures(size)(), tokenizer=tokenizers.clip()())

    return Part(make)


def siglip_pictures(size: int = 32) -> Part:
    """What prepares pictures for SigLIP."""
    return processor("SiglipImageProcessorPil", size={"height": size, "width": size})


def siglip2_pictures() -> Part:
    """What prepares pictures for SigLIP 2."""
    return processor("Siglip2ImageProcessorPil", max_num_patches=16)
