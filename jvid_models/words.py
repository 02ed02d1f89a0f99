"""A text encoder of a closed vocabulary, without a large network.

    e_i = (v(w_i) + sum_k S^k v(w_{i-k}) + S^{-k} v(w_{i+k})) / sqrt(1 + 2 K) + p_i,     k = 1 .. K
    text = e, or T(e) of a small transformer

v(w) is a vector that is keyed by the word alone, of norm sqrt(width); S shifts the components of a vector by one, so that a
token carries its neighbours and their places: "green" before "hair" is another token than "hair" alone (permutations as a means
to encode order: Sahlgren, Holst and Kanerva 2008). p_i is the sinusoid of Vaswani et al. (2017, arXiv 1706.03762). Fixed, no
weight is trained: the experts' cross-attention learns what the vectors mean. Trained, v and T are weights that are learned
together with an expert, and stored with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from jvid.core.keyed import keyed_normal
from jvid.errors import InputError, one_line
from jvid.refusals import parse_json
from jvid_models.captions import captions_in
from jvid_models.text import PromptEncoder
from jvid_models.vocabulary import FIRST, Vocabulary
from jvid_models.weights import read_weights, save_weights

__all__ = ["WordNetwork", "Words", "words"]


class WordNetwork(nn.Module):
    """Token numbers ``(b, n)`` -> embeddings ``(b, n, width)``, zeros where a row is filled up."""

    def __init__(self, vocabulary: Vocabulary, width: int, context: int, layers: int, heads: int) -> None:
        super().__init__()
        self.context = context
        self.table = nn.Embedding(FIRST + len(vocabulary.words), width, padding_idx=0)
        with torch.no_grad():
            for number, word in enumerate(["", *vocabulary.words], FIRST - 1):
                vector = keyed_normal([0], ("word", word), (width,))[0]
                self.table.weight[number] = vector * math.sqrt(width) / vector.norm()
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width) if layers else nn.Identity()
        self.register_buffer("places", _sinusoids(vocabulary.tokens, width), persistent=False)
        self.places: Tensor

    def forward(self, tokens: Tensor) -> Tensor:
        """See the module's head."""
        filling = tokens == 0
        vectors = self.table(tokens)
        x = vectors
        for k in range(1, min(self.context, tokens.shape[1] - 1) + 1):
            before = nn.functional.pad(vectors[:, :-k], (0, 0, k, 0))
            after = nn.functional.pad(vectors[:, k:], (0, 0, 0, k))
            x = x + before.roll(k, -1) + after.roll(-k, -1)
        x = x / math.sqrt(1 + 2 * self.context) + self.places[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=filling)
        embedded: Tensor = self.norm(x) * ~filling[..., None]
        return embedded


class Words(PromptEncoder):
    """Prompts of known words to ``(b, tokens, width)``; "" is the mark alone.

    Args:
        vocabulary: the known words.
        width: of an embedding.
        context: neighbours on each side that a token carries.
        layers: of the transformer; 0 is none.
        heads: of its attention.
        trained: whether the network is trained together with an expert.

    Raises:
        InputError: a number out of range, or layers that are not trained.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        width: int = 64,
        context: int = 2,
        layers: int = 0,
        heads: int = 4,
        trained: bool = False,
    ) -> None:
        for name, value, least in (("width", width, 2), ("context", context, 0), ("layers", layers, 0)):
            if type(value) is not int or value < least:
                raise InputError(f"{name}={value!r}: expected a whole number, {least} or more")
        if layers and not trained:
            raise InputError(f"layers={layers} beside trained=false: a transformer has to be trained")
        if layers and (type(heads) is not int or heads < 1 or width % heads):
            raise InputError(f"heads={heads!r}: expected a number that divides the width, {width}")
        self.vocabulary = vocabulary
        self.options: dict[str, Any] = {
            "width": width, "context": context, "layers": layers, "heads": heads, "trained": trained,
        }  # fmt: skip
        self.network = WordNetwork(vocabulary, width, context, layers, heads)
        if not trained:
            self.network.requires_grad_(False)

    @property
    def trained(self) -> bool:
        """Whether the network is trained together with an expert."""
        return bool(self.options["trained"])

    @property
    def width(self) -> int:
        """Of an embedding."""
        return int(self.options["width"])

    @property
    def config(self) -> dict[str, Any]:
        """Everything but the weights, as plain values."""
        return {"words": list(self.vocabulary.words), "tokens": self.vocabulary.tokens, **self.options}

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of the prompts, each computed alone: a row does not depend on the others."""
        self.network.eval()
        tokens = self.vocabulary.rows(prompts).to(self.network.places.device)
        return torch.cat([self.network(row[None]) for row in tokens]).float()

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Words:
        """The encoder of `config`, with the weights that an untrained one has.

        Raises:
            InputError: a key is missing, or a value has another form.
        """
        options = dict(config)
        try:
            vocabulary = Vocabulary(tuple(options.pop("words")), options.pop("tokens"))
            return cls(vocabulary, **options)
        except (KeyError, TypeError) as error:
            raise InputError(f"a words encoder lacks or garbles something: {error}") from None

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write one safetensors file: the weights in ``dtype``, and `config` as JSON in its metadata."""
        weights = {name: tensor.to(dtype) for name, tensor in self.network.state_dict().items()}
        save_weights(weights, path, {"words": json.dumps(self.config)})

    @classmethod
    def load(cls, path: str | Path) -> Words:
        """Read what `save` wrote; InputError where the file is corrupt or is something else."""
        weights = read_weights(path)
        what = f"{path} holds no words encoder"
        try:
            with safe_open(str(path), framework="pt") as file:
                config = parse_json((file.metadata() or {})["words"])
            made = cls.of_config(config)
            made.network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        except (KeyError, ValueError, RuntimeError, SafetensorError) as error:
            reason = one_line(error)[:160]
            raise InputError(f"{what} ({reason}): expected a file that Words.save wrote") from None
        return made


def words(
    path: str | Path | None = None,
    vocabulary: str | Path | None = None,
    captions: Sequence[str] | None = None,
    tokens: int | None = None,
    width: int = 64,
    context: int = 2,
    layers: int = 0,
    heads: int = 4,
    trained: bool = False,
) -> Words:
    """The encoder of a file, or a new one of the words of captions.

    Args:
        path: file that ``Words.save`` wrote, in place of all others.
        vocabulary: file of captions or words: metadata.jsonl, metadata.csv, or text with one a line.
        captions: the captions themselves; a recipe that names neither file has those of its data.
        tokens: most words of a prompt and one more; None is those of the longest caption.
        width: of an embedding.
        context: neighbours on each side that a token carries.
        layers: of a transformer over the tokens, which is trained.
        heads: of its attention.
        trained: whether the embeddings are trained together with each expert.

    Raises:
        InputError: no file and no captions, or numbers that do not fit.
    """
    if path is not None:
        return Words.load(path)
    if vocabulary is not None:
        captions = captions_in(vocabulary)
    if captions is None:
        raise InputError("words has no vocabulary: expected vocabulary=FILE of captions, or path=FILE")
    return Words(Vocabulary.of(captions, tokens), width, context, layers, heads, trained)


def _sinusoids(tokens: int, width: int) -> Tensor:
    at = torch.arange(tokens)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([at.sin(), at.cos()], -1).flatten(1)[:, :width].clone()
