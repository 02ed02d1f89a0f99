"""Embeddings of a recipe's sentences, encoded ahead and kept beside its latents.

    text-0123456789ab.rows.safetensors    (n, tokens, width) float32, a row a sentence, with checksums
    text-0123456789ab.json                {sentences: [...], shards: {name: digest}}

The name is a digest of the text encoder, its options and the sentences: runs find what fits them, and need no text encoder then.
A table of many sentences is larger than a process should hold; its rows stay on the disk, and are read and verified one by one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from jvid.files import read_json, whole_file, write_json
from jvid_models.text import EmbeddingTable
from jvid_training.data.shards import RowWriter, Shards
from jvid_training.recipe import Text

__all__ = ["StoredTable", "save_embeddings", "stored_embeddings"]

_MOST = 1 << 30
"""Bytes of a table that a process holds."""


class StoredTable(EmbeddingTable):
    """A table whose rows stay on the disk; ``embeddings`` is a map of the file."""

    def __init__(self, prompts: Sequence[str], embeddings: Tensor, shards: Shards, name: str) -> None:
        super().__init__(prompts, embeddings)
        self._shards, self._name = shards, name

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of the prompts ``(b, tokens, width)``, read from the disk."""
        rows = [self._shards.read(self._name, "rows", self.row(prompt), 1) for prompt in prompts]
        return torch.from_numpy(np.concatenate(rows))


def _name(text: Text, sentences: Sequence[str]) -> str:
    described = json.dumps([text.name, text.options, list(sentences)], sort_keys=True)
    return f"text-{hashlib.sha256(described.encode()).hexdigest()[:12]}"


def save_embeddings(
    folder: Path,
    text: Text,
    sentences: Sequence[str],
    parts: Iterable[Tensor],
    advance: Callable[[int, int, str], None] = lambda done, total, last: None,
) -> None:
    """Write the embeddings of sentences, whole or not at all.

    Args:
        folder: of the latents.
        text: of the recipe.
        sentences: each once.
        parts: their embeddings in order, ``(some, tokens, width)`` each.
        advance: called with the numbers of finished and of all sentences, and the last one.
    """
    name, path = _name(text, sentences), folder / f"{_name(text, sentences)}.rows.safetensors"
    with whole_file(path) as target:
        writer: RowWriter | None = None
        for part in parts:
            rows = part.detach().float().cpu().numpy()
            writer = writer or RowWriter(target, rows.dtype, rows.shape[1:])
            writer.append(rows)
            advance(writer.count, len(sentences), sentences[writer.count - 1])
        digest = "" if writer is None else writer.close()
    write_json(folder / f"{name}.json", {"sentences": list(sentences), "shards": {f"{name}.rows": digest}})


def stored_embeddings(folder: Path, text: Text, sentences: Sequence[str]) -> EmbeddingTable | None:
    """The table of a recipe's sentences, if it was encoded ahead.

    Raises:
        InputError: it is damaged.
    """
    name = _name(text, sentences)
    if not (folder / f"{name}.json").is_file():
        return None
    digests = read_json(
        folder / f"{name}.json",
        "what `jvid encode --text` wrote",
        "delete it",
        lambda found: dict(found["shards"]),
    )
    shards = Shards(folder, digests, remedy="delete {}.json beside it, and run jvid encode --text again")
    row = shards.row_shape(name, "rows")
    if len(sentences) * int(np.prod(row)) * 4 <= _MOST:
        with shards:
            rows = shards.read(name, "rows", 0, len(sentences))
        return EmbeddingTable(sentences, torch.from_numpy(rows))
    with safe_open(str(folder / f"{name}.rows.safetensors"), framework="pt") as file:
        mapped = file.get_tensor("rows")
    return StoredTable(sentences, mapped, shards, name)
