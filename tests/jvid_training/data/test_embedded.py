"""Embeddings that are encoded ahead are those that a run would encode, and need no text encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import load_file

from jvid.errors import InputError
from jvid_models.text import EmbeddingTable
from jvid_training.data import embedded
from jvid_training.data.embedded import StoredTable
from jvid_training.data.manifest import load_manifest
from jvid_training.data.prompts import encode_text, load_text
from jvid_training.data.windows import Windows
from jvid_training.recipe import Text
from jvid_training.train.objectives import objective_of
from tests.training_tools import prepare


def test_stored_embeddings_are_those_of_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = prepare(tmp_path)
    manifests = [load_manifest(tmp_path / "latents")]
    expected: Any = load_text(manifests, recipe.data, recipe.text)
    seen: list[tuple[int, int]] = []
    count = encode_text(
        manifests, recipe.data, recipe.text, lambda done, total, last: seen.append((done, total))
    )
    assert count == 7
    assert seen == [(7, 7)]
    (path,) = (tmp_path / "latents").glob("text-*.rows.safetensors")
    assert torch.equal(load_file(path)["rows"], expected.embeddings)
    (tmp_path / "prompts.safetensors").unlink()  # the text encoder is gone
    found: Any = load_text(manifests, recipe.data, recipe.text)
    assert type(found) is EmbeddingTable
    assert found.prompts == expected.prompts
    assert torch.equal(found.embeddings, expected.embeddings)
    assert encode_text(manifests, recipe.data, recipe.text) == 7, "what is there is not encoded again"

    # A table that is too large to hold: the same samples, read row by row, without more in memory.
    monkeypatch.setattr(embedded, "_MOST", 0)
    stored: Any = load_text(manifests, recipe.data, recipe.text)
    assert isinstance(stored, StoredTable)
    assert torch.equal(stored.embeddings, expected.embeddings)
    assert torch.equal(stored.embed(["A PERSON walk.", ""]), expected.embed(["a person walk", ""]))
    windows = Windows(tmp_path / "latents")
    whole, rows = (objective_of(recipe, text, torch.device("cpu")) for text in (found, stored))
    for place in range(8):
        one, two = (each.sample(windows, 0, 3, place, 8) for each in (whole, rows))
        assert one["text"].shape == ()
        assert torch.equal(whole.embedded(one["text"]), rows.embedded(two["text"]))
        assert torch.equal(one["x"], two["x"])

    content = path.read_bytes()
    path.write_bytes(content[:1100] + bytes([content[1100] ^ 1]) + content[1101:])
    with pytest.raises(
        InputError,
        match=r"text-.*is damaged \(row 0 .*: delete text-\w+\.json beside it, and run jvid encode --text",
    ):
        stored.embed([""])


def test_another_encoder_or_other_sentences_are_not_found(tmp_path: Path) -> None:
    recipe = prepare(tmp_path)
    manifests = [load_manifest(tmp_path / "latents")]
    encode_text(manifests, recipe.data, recipe.text)
    found = embedded.stored_embeddings
    sentences = list(load_text(manifests, recipe.data, recipe.text).prompts)  # type: ignore[union-attr]
    assert found(tmp_path / "latents", recipe.text, sentences) is not None
    assert found(tmp_path / "latents", recipe.text, sentences[:-1]) is None
    assert found(tmp_path / "latents", Text("minilm"), sentences) is None
    assert found(tmp_path / "latents", attrs.evolve(recipe.text, options={}), sentences) is None
    words = Text("words", {"width": 8})
    assert encode_text(manifests, recipe.data, words) == 0
