"""Training on captions with an encoder of known words, fixed or trained, and the ensembles that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import load_file

import jvid
from jvid.cli import main
from jvid.core.conditions import PerExpert
from jvid.errors import InputError
from jvid.files import read_json
from jvid_models.ensembles.folder import EnsembleFolder
from jvid_models.words import Words
from jvid_training.data.latents import encode
from jvid_training.data.manifest import load_manifest
from jvid_training.data.prompts import encode_text, load_text
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.export import Part, export_runs, read_run
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.networks import TextConditioned, accelerated, bare, build_network, conditioned
from jvid_training.train.objectives import PredictNoise, objective_of
from jvid_training.train.parameters import start_from
from jvid_training.train.trainer import train
from tests.caption_tools import captioned, captions_of, make_captioned, make_stills
from tests.training_tools import few_held_out_samples, pooled

LEARNT = {"width": 16, "layers": 1, "heads": 2, "trained": True}


@pytest.fixture(autouse=True)
def short_validations() -> Iterator[None]:
    with few_held_out_samples(2):
        yield


def recipe_of(folder: Path, kind: str, run: str, options: dict[str, Any], **training: Any) -> Recipe:
    recipe = captioned(folder, kind, **{"steps": 1, "batch": 2, **training})
    recipe["text"]["options"] = {"vocabulary": str(folder / "clips/metadata.jsonl"), **options}
    return structure_recipe(recipe | {"out": str(folder / run), "name": f"blocks-{kind}"})


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """An image and a video run with trained words, one with fixed words, one on stills, and a decoder."""
    folder = tmp_path_factory.mktemp("captioned-runs")
    make_captioned(folder / "clips")
    with few_held_out_samples(2):
        first = recipe_of(folder, "image", "image", LEARNT, steps=2)
        encode(first.data, first.codec, folder / "clips", pooled)
        train(first)
        train(recipe_of(folder, "video", "video", LEARNT))
        train(recipe_of(folder, "video", "fixed", {"width": 16}))
        train(recipe_of(folder, "decoder", "decoder", {}))
        make_stills(folder / "stills")
        stills = attrs.evolve(
            first.data, captions="text", holdout_by="", holdout=(), frames=1, crop_size=None,
            latents=str(folder / "still-latents"), statistics=str(folder / "latents"),
        )  # fmt: skip
        encode(stills, first.codec, folder / "stills", pooled)
        once = attrs.evolve(first.training, steps=1)
        train(attrs.evolve(first, data=stills, training=once, out=str(folder / "of-stills")))
    return folder


def test_the_network_of_text_learns_with_the_expert(runs: Path) -> None:
    """Its weights are the run's, moved by training, in the vocabulary of all captions."""
    run = read_run(runs / "video", "video")
    assert run.words is not None
    assert run.words.vocabulary.words == (
        "a",
        "block",
        "blue",
        "green",
        "red",
        "the",
        "waits",
        "walks",
        "which",
    )
    saved = load_file(runs / "video/final/model.safetensors")
    assert {name.partition(".")[0] for name in saved} == {"unet", "text"}
    untrained = Words.of_config(run.words.config)
    learnt = run.words.network.state_dict()
    for name, tensor in learnt.items():
        assert torch.equal(tensor, saved[f"text.{name}"])
    used = slice(1, None)  # every word is in some caption of the few steps or none; the mark is in all
    assert not torch.equal(learnt["table.weight"][used], untrained.network.table.weight[used])
    assert not learnt["table.weight"][0].any(), "the filling has no vector"


def test_gradients_are_those_of_the_whole(runs: Path) -> None:
    """The loss of token numbers equals the loss of their embeddings, and it has a gradient for each word of the batch."""
    run = read_run(runs / "video", "video")
    assert run.words is not None
    task = objective_of(run.recipe, run.words, torch.device("cpu"))
    windows = Windows(runs / "latents")
    samples = [task.sample(windows, 0, 1, place, 2) for place in range(2)]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    assert batch["text"].dtype == torch.int64
    network = TextConditioned(run.network, run.words.network).requires_grad_(True)
    loss = task.loss(network, batch)
    apart = task.loss(run.network, batch | {"text": run.words.network(batch["text"])})
    torch.testing.assert_close(loss, apart)
    loss.sum().backward()
    gradient = run.words.network.table.weight.grad
    assert gradient is not None
    words = set(batch["text"].flatten().tolist()) - {0}
    assert {row for row in range(len(gradient)) if gradient[row].any()} == words


def test_a_resumed_run_equals_an_unbroken_one_and_keeps_its_words(runs: Path, tmp_path: Path) -> None:
    whole = load_file(runs / "image/final/model.safetensors")
    broken = attrs.evolve(recipe_of(runs, "image", "image", LEARNT), out=str(tmp_path / "broken"))
    train(broken)
    longer = attrs.evolve(broken, training=attrs.evolve(broken.training, steps=2))
    train(longer)
    again = load_file(tmp_path / "broken/final/model.safetensors")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    # The same numbers mean other words where the captions are others.
    more = attrs.evolve(longer, training=attrs.evolve(longer.training, steps=3))
    path = tmp_path / "broken/checkpoint-00000002/state.json"
    state = path.read_text()
    (path.parent / "manifest.json").unlink()
    path.write_text(state.replace('"walks"', '"walked"'))
    with pytest.raises(InputError, match=r"checkpoint-00000002 was trained on other words; words: "):
        train(more)


def test_the_fast_forward_gives_the_same_gradients(runs: Path) -> None:
    """``training.checkpointing`` computes layers again; the text network's gradient passes through them in either case."""
    run = read_run(runs / "video", "video")
    assert run.words is not None
    task = objective_of(run.recipe, run.words, torch.device("cpu"))
    sample = task.sample(Windows(runs / "latents"), 0, 1, 0, 1)
    batch = {name: value[None] for name, value in sample.items()}
    whole = TextConditioned(run.network, run.words.network).requires_grad_(True).train()
    found = {}
    for name, network in (
        ("plain", whole),
        ("fast", accelerated(whole)),
        ("again", accelerated(whole, checkpointing=True)),
    ):
        whole.zero_grad()
        task.loss(network, batch).sum().backward()
        found[name] = {key: p.grad.clone() for key, p in whole.named_parameters() if p.grad is not None}
    for fast in ("fast", "again"):
        assert found["plain"].keys() == found[fast].keys() >= {"text.table.weight"}
        for key, gradient in found["plain"].items():
            torch.testing.assert_close(found[fast][key], gradient, rtol=1e-4, atol=1e-5)
    assert bare(accelerated(whole)).state_dict().keys() == whole.state_dict().keys()


def test_a_run_starts_from_another_with_or_without_its_words(runs: Path) -> None:
    """Names of the UNet agree whether a text network is trained beside it or not; an image's weights start a video's."""
    new = ("*temp_*", "*transformer_in.*")
    learnt = read_run(runs / "video", "video")
    for start in ("image", "fixed"):
        weights = load_file(runs / start / "final/model.safetensors")
        for words in (None, learnt.words):
            network = conditioned(build_network(learnt.recipe), words)
            start_from(network, weights, new if start == "image" else ())
            key = "down_blocks.0.resnets.0.conv1.weight"
            mine, theirs = (
                next(v for k, v in each.items() if k.endswith(key))
                for each in (network.state_dict(), weights)
            )
            assert torch.equal(mine.reshape(theirs.shape), theirs)
    # With its text network where both have one.
    network = conditioned(build_network(learnt.recipe), learnt.words)
    start_from(network, load_file(runs / "image/final/model.safetensors"), new)
    table = load_file(runs / "image/final/model.safetensors")["text.table.weight"]
    assert torch.equal(network.state_dict()["text.table.weight"], table)


def test_an_ensemble_of_words_takes_any_caption(runs: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "blocks"
    words = ["--expert", f"video={runs / 'video'}", "--expert", f"still={runs / 'of-stills'}"]
    words += ["--expert", f"fixed={runs / 'fixed'}", "--expert", f"also={runs / 'fixed'}"]
    assert main(["export", *words, "--decoder", str(runs / "decoder"), "-o", str(out)]) == 0
    assert not (out / "prompts.safetensors").exists()
    document = read_json(out / "ensemble.json", "a document", "")
    assert (document["format"], document["prompts"]) == (3, [])
    assert [each["text"] for each in document["experts"].values()] == [
        "video.words.safetensors", "still.words.safetensors", "fixed.words.safetensors", "fixed.words.safetensors",
    ]  # fmt: skip
    ensemble = jvid.load("ensemble", str(out))
    assert ensemble.prompts == ()
    assert ensemble.shares_conditioner("fixed", "also")
    assert not ensemble.shares_conditioner("video", "fixed")
    caption = "the blue block, which walks"
    cond = ensemble.condition([caption])
    assert isinstance(cond, PerExpert)
    for name, run in (("video", "video"), ("still", "of-stills"), ("fixed", "fixed")):
        own = read_run(runs / run, "image", "video").words
        assert own is not None
        torch.testing.assert_close(
            cond.conditions[name]["text"], own([caption])["text"], rtol=2e-3, atol=2e-3
        )
    # Captions that no clip has, of the same words.
    command = ["sample", "which blue walks the green", "--ensemble", str(out), "--steps", "2"]
    command += ["--selector", "boundary:experts=video+still,at=.5", "-o", str(tmp_path / "out.safetensors")]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command[:1], "a bleu block", *command[2:]]) == 2
    error = capsys.readouterr().err
    assert "unknown word 'bleu' in prompt 'a bleu block': 9 words are known, the closest are 'blue'" in error
    # An expert of the folder is exported again with its words.
    again = export_runs(
        {"video": Part(out, "video"), "image": Part(runs / "image")}, Part(runs / "decoder"), tmp_path / "two"
    )
    assert again.experts == ("video", "image")
    first, second = (
        EnsembleFolder(folder).words("video.words.safetensors") for folder in (out, tmp_path / "two")
    )
    assert torch.equal(first([caption])["text"], second([caption])["text"])


def test_runs_of_other_spaces_are_not_exported_together(runs: Path, tmp_path: Path) -> None:
    make_stills(tmp_path / "stills")
    recipe = recipe_of(runs, "image", "image", LEARNT)
    data = attrs.evolve(
        recipe.data, captions="text", holdout_by="", holdout=(), frames=1, crop_size=None,
        latents=str(tmp_path / "own"),
    )  # fmt: skip
    encode(data, recipe.codec, tmp_path / "stills", pooled)
    train(attrs.evolve(recipe, data=data, out=str(tmp_path / "run")))
    experts = {"video": Part(runs / "video"), "still": Part(tmp_path / "run")}
    with pytest.raises(
        InputError, match=r"the still run was trained on other latents .* whose data\.statistics"
    ):
        export_runs(experts, Part(runs / "decoder"), tmp_path / "out")


def test_bad_text_before_the_first_step(runs: Path, tmp_path: Path) -> None:
    manifest = load_manifest(runs / "latents")
    recipe = recipe_of(runs, "video", "never", LEARNT)
    (tmp_path / "words.txt").write_text("a block walks\nthe red block, which waits")
    small = attrs.evolve(recipe.text, options={"vocabulary": str(tmp_path / "words.txt")})
    message = r"captions of .*latents: unknown word 'blue' in prompt .*; text\.options\.vocabulary is .*words\.txt, name a file"
    for each in (load_text, encode_text):
        with pytest.raises(InputError, match=message):
            each([manifest], recipe.data, small)
    wide = attrs.evolve(recipe.text, options={"width": 32})  # of the words of the data's own captions
    with pytest.raises(InputError, match=r"network\.text_width: got 16, expected the text encoder's 32"):
        train(attrs.evolve(recipe, text=wide))
    assert not list((runs / "never").glob("checkpoint-*"))


def test_any_encoder_makes_a_table_of_the_captions(runs: Path, tmp_path: Path) -> None:
    """CLIP and MiniLM stay: their embeddings of all captions are computed ahead."""
    manifest = load_manifest(runs / "latents")
    recipe = recipe_of(runs, "video", "", {})
    captions = [caption for colour in ("red", "green", "blue") for verb in ("walks", "waits")
                for caption in captions_of(colour, verb)]  # fmt: skip
    fixed = jvid.load("text", "words", captions=captions, width=16)
    from jvid_models.text import EmbeddingTable

    EmbeddingTable(["", *captions], fixed.embed(["", *captions])).save(tmp_path / "table.safetensors")
    text = attrs.evolve(recipe.text, name="table", options={"path": str(tmp_path / "table.safetensors")})
    table = load_text([manifest], recipe.data, text)
    assert isinstance(table, EmbeddingTable)
    assert set(table.prompts) == {"", *captions}
    task = objective_of(attrs.evolve(recipe, text=text), table, torch.device("cpu"))
    windows = Windows(runs / "latents")
    sample = task.sample(windows, 5, 7, 1, 2)
    random = generator(5, 7, 1)
    window = windows.draw(random)
    prompt = table.prompts[int(sample["text"])]
    assert prompt in ("", *window.sequence.captions)
    assert isinstance(task, PredictNoise)
    torch.testing.assert_close(task.embedded(sample["text"][None]), fixed.embed([prompt]))
