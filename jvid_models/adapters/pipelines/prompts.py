"""Prompts as a condition, for a denoiser that encodes them itself.

    PipelinePrompts()(["a dog"]) -> {"prompt": bytes (b, n), "null": {"prompt": bytes (b, n)}}

Each row is a prompt in UTF-8, filled with zeros. As a tensor a prompt is repeated for frames and stacked for guidance as any
other condition is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.conditions import describe
from jvid.core.protocols import Condition
from jvid.errors import InputError

__all__ = ["PipelinePrompts", "prompts_of"]


@attrs.frozen
class PipelinePrompts:
    """Prompts as they are, for the denoiser of a pipeline.

    Attributes:
        negative: the null prompt, for guidance around the pipeline; "" is the empty sentence.
    """

    negative: str = ""

    def __call__(self, prompts: Sequence[str]) -> Condition:
        """b prompts -> ``{"prompt": (b, n), "null": {"prompt": (b, n)}}``, uint8.

        Raises:
            InputError: no prompts, one string, or a prompt with a zero byte.
        """
        if isinstance(prompts, str):
            raise InputError(f"got one string {prompts!r}: expected a list of prompts, [{prompts!r}]")
        if not prompts:
            raise InputError("got no prompts: expected at least one ('' is unconditional)")
        texts = [text.encode() for text in (*prompts, self.negative)]
        if wrong := next((text for text in texts if b"\0" in text), None):
            raise InputError(f"prompt {wrong!r} holds a zero byte: expected text")
        width = max(1, *map(len, texts))
        rows = torch.zeros(len(texts), width, dtype=torch.uint8)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = torch.tensor(list(text), dtype=torch.uint8)
        null = rows[-1:].repeat(len(prompts), 1)
        return {"prompt": rows[:-1].clone(), "null": {"prompt": null}}


def prompts_of(rows: Any) -> list[str]:
    """The prompts ``(b, n)`` of a condition.

    Raises:
        InputError: rows that are no text.
    """
    if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.dtype != torch.uint8:
        dtype = f" in {str(rows.dtype).removeprefix('torch.')}" if isinstance(rows, Tensor) else ""
        raise InputError(
            f"the condition 'prompt' is {describe(rows)}{dtype}: expected (b, n) in uint8, as PipelinePrompts gives it"
        )
    try:
        return [bytes(row).rstrip(b"\0").decode() for row in rows.tolist()]
    except UnicodeDecodeError:
        raise InputError(
            "the condition 'prompt' is no text in UTF-8: expected what PipelinePrompts gives"
        ) from None
