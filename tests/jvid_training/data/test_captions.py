"""Captions beside clips and stills: what is found, what is refused, which are drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from jvid.errors import InputError
from jvid.files import read_json, write_json
from jvid.media.clips import ClipError, whole_clip
from jvid_models.captions import captions_in, read_metadata
from jvid_training.data.captions import find_files
from jvid_training.data.checks import check_size
from jvid_training.data.clips import files_below
from jvid_training.data.latents import encode
from jvid_training.data.manifest import key_of, load_manifest
from jvid_training.data.prompts import draw_prompt
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.evaluation.sources import RealClips
from jvid_training.recipe import Data, Recipe, structure_recipe
from tests.caption_tools import captioned, captions_of, make_captioned, make_stills, write_metadata
from tests.training_tools import as_format_1, document, make_clips, pooled


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Encoded once; tests that change something copy the recipe."""
    folder = tmp_path_factory.mktemp("captioned")
    make_captioned(folder / "clips")
    recipe = structure_recipe(captioned(folder))
    encode(recipe.data, recipe.codec, folder / "clips", pooled)
    return folder


def recipe_of(folder: Path, **data: object) -> Recipe:
    found = captioned(folder)
    found["data"] |= data
    return structure_recipe(found)


def test_captions_attributes_and_splits_reach_the_windows(clips: Path) -> None:
    manifest = load_manifest(clips / "latents")
    assert {s.clip: s.captions for s in manifest.sequences} == {
        f"{'test' if colour == 'blue' else 'train'}/{colour}-{verb}.avi": tuple(captions_of(colour, verb))
        for colour in ("red", "green", "blue")
        for verb in ("walks", "waits")
    }
    first = next(s for s in manifest.sequences if s.clip == "train/red-walks.avi")
    assert first.attributes == {"split": "train", "colour": "red", "action": "walks"}
    train, held = Windows(clips / "latents"), Windows(clips / "latents", "holdout")
    assert {s.attributes["colour"] for s in train.sequences} == {"red", "green"}
    assert {s.attributes["colour"] for s in held.sequences} == {"blue"}
    labels = RealClips(clips / "latents", actors="held-out").labels
    assert set(labels) == {captions_of("blue", verb)[0] for verb in ("walks", "waits")}


def test_one_caption_is_drawn_at_each_presentation(clips: Path) -> None:
    """Keyed by the sample: each is drawn about equally often, and the same one again for the same key."""
    sequence = load_manifest(clips / "latents").sequences[0]
    data = recipe_of(clips).data

    def drawn(step: int, drop: float = 0.0) -> str:
        return draw_prompt(sequence.action, data, drop, generator(3, step, 0), sequence.captions)

    texts = [drawn(step) for step in range(600)]
    assert texts == [drawn(step) for step in range(600)]
    assert set(texts) == set(sequence.captions)
    assert abs(np.mean([text == sequence.captions[0] for text in texts]) - 0.5) < 6 * 0.5 / 600**0.5
    dropped = np.mean([drawn(step, 0.3) == "" for step in range(600)])
    assert abs(dropped - 0.3) < 6 * (0.3 * 0.7 / 600) ** 0.5


def test_hold_outs_and_classes_by_keys(clips: Path) -> None:
    by_colour = recipe_of(clips, holdout_by="colour", holdout=["green"], label="action").data
    files = find_files(clips / "clips", by_colour)
    assert {file.actor for file in files} == {"red", "green", "blue"}
    assert {file.action for file in files} == {"walks", "waits"}
    encode(
        attrs.evolve(by_colour, latents=str(clips / "by-colour")),
        recipe_of(clips).codec,
        clips / "clips",
        pooled,
    )
    assert Windows(clips / "by-colour").actions == ("waits", "walks")
    assert {s.attributes["colour"] for s in Windows(clips / "by-colour", "holdout").sequences} == {"green"}


def test_stills_with_text_files_share_the_clips_statistics(clips: Path, tmp_path: Path) -> None:
    make_stills(tmp_path / "stills")
    stills = recipe_of(
        tmp_path,
        captions="text",
        holdout_by="",
        holdout=[],
        frames=1,
        crop_size=None,
        statistics=str(clips / "latents"),
    )
    manifest = encode(stills.data, stills.codec, tmp_path / "stills", pooled)
    shared = load_manifest(clips / "latents")
    assert (manifest.mean, manifest.std) == (shared.mean, shared.std)
    assert [s.length for s in manifest.sequences] == [1] * 6
    assert manifest.sequences[1].captions == ("a green block", "the green block")
    windows = Windows(tmp_path / "latents")
    drawn = windows.draw(generator(0, 0, 0))
    video = windows.video(drawn)
    assert video.shape == (3, 1, 32, 32)
    with Image.open(tmp_path / "stills" / drawn.sequence.clip) as picture:
        wanted = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(video[:, 0], wanted)
    mean, std = (torch.tensor(values).reshape(4, 1, 1, 1) for values in (shared.mean, shared.std))
    torch.testing.assert_close(windows.latents(drawn), (pooled(video[None])[0] - mean) / std)
    other = attrs.evolve(stills.data, size=16, latents=str(tmp_path / "small"))
    with pytest.raises(InputError, match=r"data\.statistics: .* holds other latents; size: 32 then, 16 now"):
        encode(other, stills.codec, tmp_path / "stills", pooled)


def test_metadata_as_csv(tmp_path: Path) -> None:
    make_stills(tmp_path / "stills", 2)
    (tmp_path / "stills/metadata.csv").write_text(
        'file_name,text,kind\n0.png,"a red, red block",x\n1.png,green,y\n'
    )
    files = find_files(tmp_path / "stills", recipe_of(tmp_path, holdout_by="kind", holdout=["y"]).data)
    assert [(file.name, file.captions, file.actor) for file in files] == [
        ("0.png", ("a red, red block",), "x"),
        ("1.png", ("green",), "y"),
    ]
    assert captions_in(tmp_path / "stills/metadata.csv") == ["a red, red block", "green"]
    assert captions_in(tmp_path / "stills/0.txt") == ["a red block", "the red block"]


def test_class_folders_keep_their_key_and_old_manifests_load(clips: Path, tmp_path: Path) -> None:
    """Latents that an earlier version encoded are found again: their key and sequences have none of the new names."""
    recipe = structure_recipe(document(tmp_path))
    names = {"captions", "holdout_by", "label", "statistics"}
    assert names.isdisjoint(key_of(recipe.data, recipe.codec)["data"])
    assert names - {"label", "statistics"} <= set(key_of(recipe_of(clips).data, recipe.codec)["data"])
    shutil.copytree(clips / "latents", tmp_path / "old")
    as_format_1(tmp_path / "old")
    old = read_json(tmp_path / "old/manifest.json", "a manifest", "")
    for sequence in old["sequences"]:
        del sequence["captions"], sequence["attributes"]
    write_json(tmp_path / "old/manifest.json", old)
    loaded = load_manifest(tmp_path / "old")
    assert [s.captions for s in loaded.sequences] == [()] * 6
    assert [s.offset for s in loaded.sequences] == [
        s.offset for s in load_manifest(clips / "latents").sequences
    ]
    assert draw_prompt("walk", recipe.data, 0.0, generator(1, 0, 0)) == draw_prompt(
        "walk", recipe.data, 0.0, generator(1, 0, 0), ()
    )


def test_captions_that_changed_are_noticed(tmp_path: Path) -> None:
    rows = make_captioned(tmp_path / "clips")
    recipe = recipe_of(tmp_path)
    made = encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
    rows[0]["text"][0] = "another"
    write_metadata(tmp_path / "clips", rows)
    with pytest.raises(
        InputError, match=r"other captions or splits than their latents; train/red-walks.avi.captions"
    ):
        encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
    (tmp_path / "clips").rename(tmp_path / "away")
    assert encode(recipe.data, recipe.codec, tmp_path / "clips", pooled) == made, "latents need no clips"


def test_lists_that_changed_are_noticed(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips")
    names = [path.relative_to(tmp_path / "clips").as_posix() for path in files_below(tmp_path / "clips")]
    lists = {name: str(tmp_path / f"{name}.txt") for name in ("train", "test")}

    def write(train: list[str], test: list[str]) -> None:
        for name, clips in (("train", train), ("test", test)):
            Path(lists[name]).write_text("\n".join(clips))

    plain = document(tmp_path)
    plain["data"] |= {"lists": lists, "holdout_by": "split", "holdout": ["test"], "actor": "(?P<actor>.*)"}
    recipe = structure_recipe(plain)
    write(names[:4], names[4:])
    made = encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
    assert encode(recipe.data, recipe.codec, tmp_path / "clips", pooled) == made
    write(names[:5], names[5:])
    with pytest.raises(InputError, match=rf"other captions or splits than their latents; {names[4]}"):
        encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
    (tmp_path / "latents/manifest.json").unlink()  # the shards alone
    with pytest.raises(InputError, match="other captions or splits than their latents"):
        encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
    assert not (tmp_path / "latents/manifest.json").exists()


@pytest.mark.parametrize(("line", "message"), [
    ("{", r"metadata.jsonl, line 1: no JSON \(.*\), expected \{"),
    ("[1]", "line 1: a JSON list, expected"),
    ('{"text": "a"}', "line 1: no key file_name, expected file_name and text"),
    ('{"file_name": "a.avi"}', "line 1: no key text"),
    ('{"file_name": "a.avi", "text": []}', r"line 1: text \[\], expected a caption or a list"),
    ('{"file_name": "a.avi", "text": ["a", 3]}', "line 1: text .* expected a caption or a list"),
    ('{"file_name": "a.avi", "text": " "}', "line 1: text ' ', expected a caption"),
    ('{"file_name": "../a.avi", "text": "a"}', "line 1: file_name '../a.avi', expected a path below"),
    ('{"file_name": "a.avi", "text": "a"}', "line 1: no clip or image at .*a.avi; put it there"),
    ('{"file_name": "train/red-walks.avi", "text": "a"}', r"blue-waits.avi and 4 more: no caption in .*metadata.jsonl"),
    ('{"file_name": "train/red-walks.avi", "text": "a"}\n{"file_name": "train/red-walks.avi", "text": "b"}',
     "line 2: 'train/red-walks.avi' is named twice"),
    ("", "metadata.jsonl holds no captions"),
])  # fmt: skip
def test_metadata_that_does_not_fit_its_files(clips: Path, tmp_path: Path, line: str, message: str) -> None:
    root = tmp_path / "clips"
    for path in (clips / "clips").glob("*/*.avi"):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        (root / path.parent.name / path.name).touch()
    (root / "metadata.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        encode(recipe_of(tmp_path).data, recipe_of(tmp_path).codec, root, pooled)
    assert "\n" not in str(caught.value)


def test_bad_data_before_anything_is_decoded(clips: Path, tmp_path: Path) -> None:
    make_stills(tmp_path / "stills", 2)

    def refused(message: str, root: Path = clips / "clips", **data: object) -> None:
        with pytest.raises(InputError, match=message):
            find_files(root, recipe_of(tmp_path, **data).data)

    refused("no captions in .*: expected metadata.jsonl or metadata.csv there", root=tmp_path / "stills")
    refused(r"blue-waits.avi and 5 more: no captions beside it; expected blue-waits.txt", captions="text")
    refused("no folder of clips at", root=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refused("no clips in .*: expected files ending in", root=tmp_path / "empty", captions="text")
    refused(r"line 1: no key 'actor', which data\.holdout_by names; .* got split, colour", holdout_by="actor")
    refused(
        r"data\.label = 'colour' names a key of metadata", captions="class", holdout_by="", label="colour"
    )
    refused(r"data\.phrases beside data\.captions", phrases={"a": "b"})
    refused(r"data\.actor = .* does not match its name, by which data\.holdout", holdout_by="", holdout=["a"])
    unknown = recipe_of(tmp_path, holdout=["dev"])
    with pytest.raises(InputError, match=r"data\.holdout: no clip of dev; splits are test, train"):
        encode(unknown.data, unknown.codec, clips / "clips", pooled)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ClipError, match=r"image broken\.png: it cannot be decoded"):
        whole_clip(tmp_path / "broken.png")
    with pytest.raises(InputError, match=r"cannot read .*absent\.jsonl"):
        read_metadata(tmp_path / "absent.jsonl")

    class Codec:
        factor = 7

    with pytest.raises(
        InputError, match=r"data\.size: got 32, expected a multiple of 7, by which Codec divides"
    ):
        check_size(Data("a", "b", size=32), Codec())
    check_size(Data("a", "b", size=35), Codec())
