"""Prompts as rows of bytes of one length, as batches hold them: they are encoded where the network is."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines import PipelinePrompts

__all__ = ["PromptRows"]


@attrs.frozen
class PromptRows:
    """Rows of ``width`` bytes."""

    width: int = 1

    @classmethod
    def of(cls, sentences: Iterable[str]) -> PromptRows:
        """Rows that hold each of these sentences."""
        return cls(max(1, *(len(sentence.encode()) for sentence in ("", *sentences))))

    def __call__(self, prompt: str) -> Tensor:
        """A prompt in UTF-8 ``(width,)``, filled with zeros.

        Raises:
            InputError: it is longer.
        """
        row: Tensor = PipelinePrompts()([prompt])["prompt"][0]
        if len(row) > self.width:
            raise InputError(f"prompt {prompt!r} has {len(row)} bytes: expected at most {self.width}")
        return torch.nn.functional.pad(row, (0, self.width - len(row)))
