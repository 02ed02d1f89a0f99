"""Which sentence a clip is trained on, and the encoder of all sentences.

A clip's own captions, one drawn anew each time; or the paper's rule: the class name split at capitals behind 'A human',
'A person' or 'Someone'. Dropped prompts are the empty sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import jvid
from jvid.errors import InputError
from jvid.plugins.options import parameters
from jvid.plugins.registry import current
from jvid_models.prompts import normalise_prompt, prompt_of
from jvid_models.text import EmbeddingTable
from jvid_models.words import Words
from jvid_training.data.embedded import save_embeddings, stored_embeddings
from jvid_training.data.manifest import Manifest
from jvid_training.recipe import Data, Text

_PART = 64
"""Captions that are encoded at a time."""


def prompts_of(action: str, data: Data) -> tuple[str, ...]:
    """Every sentence that a class may be trained on, one per prefix."""
    return _prompts_of(action, data.prefixes, data.phrases.get(action))


@lru_cache(maxsize=4096)
def _prompts_of(action: str, prefixes: tuple[str, ...], phrase: str | None) -> tuple[str, ...]:
    phrases = None if phrase is None else {action: phrase}
    return tuple(prompt_of(action, prefix, phrases) for prefix in prefixes)


def sentences_of(manifests: Iterable[Manifest], data: Data) -> list[str]:
    """Every sentence that latents may be trained on or validated with, each once, after the empty one."""
    if data.captions == "class":
        actions = list(dict.fromkeys(action for manifest in manifests for action in manifest.actions))
        unknown = sorted(set(data.phrases) - set(actions))
        if unknown:
            raise InputError(
                f"data.phrases: no class named {', '.join(unknown)}; classes are {', '.join(actions)}"
            )
        return ["", *(prompt for action in actions for prompt in prompts_of(action, data))]
    captions = (caption for manifest in manifests for caption in manifest.sequences.captions())
    return list({normalise_prompt(sentence): sentence for sentence in ("", *captions)}.values())


def load_text(manifests: Iterable[Manifest], data: Data, text: Text) -> EmbeddingTable | Words:
    """The recipe's text encoder: one of known words, or a table of all sentences, encoded once.

    Raises:
        InputError: a class that there is not, a sentence that the encoder refuses, or options of another form.
    """
    sentences = sentences_of(manifests, data)
    stored = stored_embeddings(Path(data.latents), text, sentences)
    if stored is not None:
        return stored
    encoder = _encoder(sentences, text)
    if isinstance(encoder, Words):
        _check_words(encoder, sentences, data, text)
        return encoder
    return EmbeddingTable(sentences, torch.cat(list(_embedded(encoder, sentences, data))))


def encode_text(
    manifests: Iterable[Manifest],
    data: Data,
    text: Text,
    advance: Callable[[int, int, str], None] = lambda done, total, last: None,
) -> int:
    """Encode every sentence ahead, beside the latents, where that was not done; returns how many there are.

    0 where the text encoder takes any prompt of known words, which has no table.

    Raises:
        InputError: as `load_text`.
    """
    sentences = sentences_of(manifests, data)
    if stored_embeddings(Path(data.latents), text, sentences) is not None:
        return len(sentences)
    encoder = _encoder(sentences, text)
    if isinstance(encoder, Words):
        _check_words(encoder, sentences, data, text)
        return 0
    save_embeddings(Path(data.latents), text, sentences, _embedded(encoder, sentences, data), advance)
    return len(sentences)


def _check_words(encoder: Words, sentences: list[str], data: Data, text: Text) -> None:
    """An unknown word of a caption is an error of today, not of the step that draws it."""
    try:
        encoder.vocabulary.rows(sentences)
    except InputError as error:
        named = text.options.get("vocabulary")
        remedy = f"; text.options.vocabulary is {named}, name a file that has all words" if named else ""
        raise InputError(f"captions of {data.latents}: {error}{remedy}") from None


def _encoder(sentences: list[str], text: Text) -> Any:
    options = dict(text.options)
    takes = parameters(current().find("text", text.name).factory())
    if "captions" in takes and not {"path", "vocabulary", "captions"} & set(options):
        options["captions"] = sentences
    return jvid.load("text", text.name, **options)


def _embedded(encoder: Any, sentences: list[str], data: Data) -> Iterator[torch.Tensor]:
    """Embeddings of sentences in parts; those of classes are few, and are encoded at once."""
    size = len(sentences) if data.captions == "class" else _PART
    for first in range(0, len(sentences), size):
        yield encoder.embed(sentences[first : first + size])


def draw_prompt(
    action: str, data: Data, drop: float, random: np.random.Generator, captions: Sequence[str] = ()
) -> str:
    """One of a clip's captions, or of its class's prompts where it has none; "" with probability ``drop``."""
    if random.random() < drop:
        return ""
    prompts = captions or prompts_of(action, data)
    return prompts[int(random.integers(len(prompts)))]
