"""The encoder of a closed vocabulary: words, their vectors, files and refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

import jvid
from jvid.core.keyed import keyed_normal
from jvid.errors import InputError, MissingDependencyError
from jvid_models.vocabulary import Vocabulary, words_of
from jvid_models.weights import save_weights
from jvid_models.words import Words

CAPTIONS = ["A woman with long green hair, in chain-mail.", "a man's red hat"]
KNOWN = Vocabulary.of(CAPTIONS)


def test_words_of_captions() -> None:
    assert words_of("  A woman,\twith GREEN hair... in chain-mail; a man's hat_") == [
        "a", "woman", "with", "green", "hair", "in", "chain-mail", "a", "man's", "hat",
    ]  # fmt: skip
    assert words_of("...") == []
    assert KNOWN.words == (
        "a",
        "chain-mail",
        "green",
        "hair",
        "hat",
        "in",
        "long",
        "man's",
        "red",
        "with",
        "woman",
    )
    assert KNOWN.tokens == 9


def test_rows_are_numbers_of_equal_width() -> None:
    rows = KNOWN.rows(["", "Green hair!", "a red hat in a"])
    assert rows.tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 4, 5, 0, 0, 0, 0, 0, 0],
        [1, 2, 10, 6, 7, 2, 0, 0, 0],
    ]


@pytest.mark.parametrize(("prompt", "message"), [
    ("a grean hat", "unknown word 'grean' in prompt 'a grean hat': 11 words are known, the closest are 'green'"),
    ("zzz", "unknown word 'zzz' in prompt 'zzz': 11 words are known, they are a, chain-mail, green"),
    ("grean hatt, grean", "unknown words in prompt 'grean hatt, grean': 'grean' \\(the closest are 'green', 'red'\\), "
     "'hatt' \\(the closest are 'hat'.*\\); 11 words are known$"),
    ("grean zzz", "'grean' \\(the closest are 'green', 'red'\\), 'zzz' \\(none is close\\); 11 words are known: a, chain-mail"),
    ("a a a a a a a a a", "prompt .* has 9 words: expected at most 8; shorten it"),
])  # fmt: skip
def test_unknown_words_and_long_prompts(prompt: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        KNOWN.rows(["a hat", prompt])
    assert "\n" not in str(caught.value)


def test_fixed_embeddings_are_those_of_the_equation() -> None:
    """Written out for each token: its own vector, and its neighbours' shifted by their distance."""
    width, prompt = 6, "long green hair"
    encoder = Words(KNOWN, width, context=2)
    vectors = {}
    for word in ("", *prompt.split()):
        drawn = keyed_normal([0], ("word", word), (width,))[0]
        vectors[word] = drawn * math.sqrt(width) / drawn.norm()
    row = ["", *prompt.split()]
    for i, word in enumerate(row):
        wanted = vectors[word].clone()
        for k in (1, 2):
            if i - k >= 0:
                wanted += vectors[row[i - k]].roll(k)
            if i + k < len(row):
                wanted += vectors[row[i + k]].roll(-k)
        angles = [i / 10000 ** (2 * j / width) for j in range(3)]
        places = torch.tensor([f(angle) for angle in angles for f in (math.sin, math.cos)])
        torch.testing.assert_close(encoder.embed([prompt])[0, i], wanted / math.sqrt(5) + places)
    assert not encoder.embed([prompt])[0, 4:].any(), "zeros after the sentence"
    hair = encoder.embed(["green hair", "red hair"])[:, 2]
    assert not torch.allclose(hair[0], hair[1]), "a token carries the word before it"
    alone = Words(KNOWN, width, context=0).embed(["green hair", "red hair"])[:, 2]
    assert torch.equal(alone[0], alone[1])


def test_a_vector_is_the_words_own_in_any_vocabulary() -> None:
    other = Words(Vocabulary.of(["hair green zebra"]), 16).embed(["green hair"])
    assert torch.equal(Words(KNOWN, 16).embed(["green hair"])[:, :3], other[:, :3])


def test_conditions_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    encoder = Words(KNOWN, 16, layers=1, trained=True)
    prompts = ["a red hat", "", "long green hair"]
    cond = encoder(prompts)
    assert cond["text"].shape == (3, 9, 16)
    assert cond["text"].isfinite().all()
    for prompt, row in zip(prompts, cond["text"], strict=True):
        assert torch.equal(encoder([prompt])["text"][0], row)
    assert torch.equal(cond["null"]["text"], cond["text"][1].expand(3, -1, -1))
    # A row of its own is the same whatever room the vocabulary leaves: the filling is masked.
    short = Words(Vocabulary(KNOWN.words, 5), 16, layers=1, trained=True)
    short.network.load_state_dict(encoder.network.state_dict())
    torch.testing.assert_close(short.embed(["a red hat"])[0], cond["text"][0, :5])


def test_files_keep_every_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = Words(KNOWN, 8, layers=1, heads=2, trained=True)
    encoder.save(tmp_path / "words.safetensors")
    again = jvid.load("text", "words", path=tmp_path / "words.safetensors")
    assert again.config == encoder.config
    assert torch.equal(again(["a red hat"])["text"], encoder(["a red hat"])["text"])
    with pytest.raises(MissingDependencyError, match="no weights file"):
        Words.load(tmp_path / "absent.safetensors")
    save_weights({"table.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors holds no words encoder \('words'\)"):
        Words.load(tmp_path / "other.safetensors")
    save_weights({"table.weight": torch.zeros(3, 3)}, tmp_path / "small.safetensors",
                 {"words": json.dumps(encoder.config)})  # fmt: skip
    with pytest.raises(InputError, match="holds no words encoder"):
        Words.load(tmp_path / "small.safetensors")


def test_the_registered_encoder(tmp_path: Path) -> None:
    rows = [{"file_name": f"{n}.png", "text": text} for n, text in enumerate(CAPTIONS)]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = jvid.load("text", "words", vocabulary=tmp_path / "metadata.jsonl", width=16)
    assert encoder.vocabulary == KNOWN
    assert not encoder.trained
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())
    (tmp_path / "words.txt").write_text("\n".join(KNOWN.words))
    assert (
        jvid.load("text", "words", vocabulary=tmp_path / "words.txt", tokens=9, width=16).vocabulary == KNOWN
    )
    with pytest.raises(InputError, match="words has no vocabulary"):
        jvid.load("text", "words")


@pytest.mark.parametrize(("options", "message"), [
    ({"layers": 1}, "layers=1 beside trained=false"),
    ({"layers": 1, "trained": True, "width": 10}, "heads=4: expected a number that divides the width, 10"),
    ({"width": 0}, "width=0: expected a whole number, 2 or more"),
    ({"tokens": 5}, "tokens=5: expected at least 9, of a mark and the words of 'A woman"),
])  # fmt: skip
def test_numbers_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        jvid.load("text", "words", captions=CAPTIONS, **options)


def test_an_encoder_computes_what_was_trained() -> None:
    """Embeddings of a trained encoder are the network's as the trainer evaluates it, of a whole batch with gradients."""
    torch.manual_seed(0)
    encoder = Words(KNOWN, 16, layers=2, heads=2, trained=True)
    prompts = ["a red hat", "", "long green hair in a chain-mail hat"]
    trained = encoder.network.train()(KNOWN.rows(prompts))
    assert trained.requires_grad
    torch.testing.assert_close(encoder.embed(prompts), trained.detach(), rtol=1e-5, atol=1e-5)
