"""Which sentence a clip is trained on, and the table of its embeddings.

The paper: the class name split at capitals behind 'A human', 'A person' or 'Someone', drawn anew each time;
dropped prompts are the empty sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jvid.errors import InputError
from jvid_models.prompts import prompt_of
from jvid_models.text import EmbeddingTable
from jvid_training.recipe import Data, Text


def prompts_of(action: str, data: Data) -> tuple[str, ...]:
    """Every sentence that a class may be trained on, one per prefix."""
    return tuple(prompt_of(action, prefix, data.phrases) for prefix in data.prefixes)


def build_table(actions: tuple[str, ...], data: Data, text: Text) -> EmbeddingTable:
    """Encode the empty sentence and every prompt of every action once."""
    import jvid

    unknown = sorted(set(data.phrases) - set(actions))
    if unknown:
        raise InputError(
            f"data.phrases: no class named {', '.join(unknown)}; classes are {', '.join(actions)}"
        )
    sentences = ["", *(prompt for action in actions for prompt in prompts_of(action, data))]
    encoder = jvid.load("text", text.name, **text.options)
    return EmbeddingTable(sentences, encoder.embed(sentences))


def draw_prompt(
    action: str, data: Data, drop: float, random: np.random.Generator, captions: Sequence[str] = ()
) -> str:
    """One of a clip's captions, or of its class's prompts where it has none; "" with probability ``drop``."""
    if random.random() < drop:
        return ""
    prompts = captions or prompts_of(action, data)
    return prompts[random.integers(len(prompts))]
