"""Clips in tars of WebDataset and in tables of Hugging Face datasets: the latents of the same clips in folders."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from PIL import Image

from jvid.errors import InputError
from jvid_training.data.blocks import Block
from jvid_training.data.latents import encode
from jvid_training.data.manifest import key_of
from jvid_training.data.pictures import Pictures
from jvid_training.data.sources import find_files
from jvid_training.data.stored import extracted
from jvid_training.data.streams import generator
from jvid_training.data.tables import value_at
from jvid_training.data.windows import Windows
from jvid_training.data.workers import _plain
from jvid_training.recipe import Recipe, structure_recipe
from tests.training_tools import document, make_clips, pooled

CLIPS = [f"{action}/{actor}_{action}.avi" for action in ("stand", "walk") for actor in ("ann", "bob", "eve")]


def recipe_of(folder: Path, **data: Any) -> Recipe:
    plain = document(folder)
    plain["data"].update({"flip": False, "root": str(folder / "stored"), **data})
    return structure_recipe(plain)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make_clips(folder / "clips")
    recipe = recipe_of(folder)
    encode(recipe.data, recipe.codec, folder / "clips", pooled)
    return folder


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def assert_same_rows(found: Path, expected: Path) -> None:
    """Every sequence has the rows of the clip in a folder; names and order may differ."""

    def rows(folder: Path) -> list[bytes]:
        windows = [Windows(folder, split) for split in ("train", "holdout")]
        return sorted(
            each._shards.read(s.shard, "latents", s.offset, s.length).tobytes()
            for each in windows
            for s in each.sequences
        )

    assert rows(found) == rows(expected)


def test_tars_are_read_as_folders(clips: Path, tmp_path: Path) -> None:
    for number in (0, 1):
        chosen = CLIPS[number::2]
        members: dict[str, bytes] = {"./.hidden": b"x", "README": b"about"}
        for name in chosen:
            members[name] = (clips / "clips" / name).read_bytes()
            about = {"text": [f"{name} is shown", "again"], "who": name[-12:]}
            members[name.replace(".avi", ".json")] = json.dumps(about).encode()
            members[name.replace(".avi", ".txt")] = f"{name} in words\n\nand again\n".encode()
        write_tar(tmp_path / f"stored/part-{number}.tar", members)
    for captions in ("class", "metadata", "text"):
        recipe = recipe_of(tmp_path, source="webdataset", captions=captions, latents=str(tmp_path / captions))
        manifest = encode(recipe.data, recipe.codec, tmp_path / "stored", pooled)
        assert not manifest.skipped
        assert_same_rows(tmp_path / captions, clips / "latents")
        first = next(s for s in manifest.sequences if s.clip == f"part-0.tar/{CLIPS[0]}")
        assert (first.action, first.actor) == ("stand" if captions == "class" else "", "ann")
        expected = {
            "class": (), "metadata": (f"{CLIPS[0]} is shown", "again"), "text": (f"{CLIPS[0]} in words", "and again"),
        }  # fmt: skip
        assert first.captions == expected[captions]
        assert (first.attributes.get("who") == CLIPS[0][-12:]) == (captions != "class")
        assert encode(recipe.data, recipe.codec, tmp_path / "stored", pooled) == manifest
    # A worker gets a file with its place in the tar as plain values.
    (file, *_) = find_files(tmp_path / "stored", recipe.data)
    assert json.loads(json.dumps(_plain(Block(0, (file,)))))["files"][0]["stored"]["kind"] == "tar"
    assert key_of(recipe.data, recipe.codec)["data"]["source"] == "webdataset"
    assert "source" not in key_of(structure_recipe(document(tmp_path)).data, recipe.codec)["data"]


def test_wrong_tars_are_reported_in_one_line(clips: Path, tmp_path: Path) -> None:
    clip = (clips / "clips" / CLIPS[0]).read_bytes()
    data = recipe_of(tmp_path, source="webdataset", captions="metadata").data
    root = tmp_path / "stored"
    with pytest.raises(InputError, match=r"nothing at .*: expected a tar there or below it"):
        find_files(root, data)
    for members, message in (
        ({"a/x_a.avi": clip}, r"part\.tar, a/x_a\.avi: no \.json of the same key"),
        ({"a/x_a.avi": clip, "a/x_a.json": b"{"}, r"part\.tar, a/x_a\.avi: .*line 1"),
        ({"a/x_a.avi": clip, "a/x_a.json": b'{"text": 3}'}, r"text 3, expected a caption"),
        ({"a/x_a.avi": clip, "a/x_a.json": b'{"text": []}'}, r"text \[\], expected a caption"),
        ({"a/x_a.avi": clip, "a/x_a.json": b"{}"}, r"text None, expected a caption"),
        ({"a/x_a.avi": clip, "a/x_a.json": b'{"a":' * 100_000}, r"a/x_a\.avi: nested too deeply"),
        (
            {"a/x_a.avi": clip, "a/x_a.json": b'{"text": "b"}', "a/x_a.cls": b"\xff"},
            r"a/x_a\.avi: 'utf-8' codec can't decode",
        ),
        ({"a/x_a.json": b"{}"}, "expected samples with a clip"),
        (
            {"x_a.avi": clip, "x_a.json": b'{"text": "b"}', "y": b"", "x_a.mp4": clip},
            r"no \.json of the same key",
        ),
    ):
        write_tar(root / "part.tar", members)
        with pytest.raises(InputError, match=message) as caught:
            find_files(root, data)
        assert "\n" not in str(caught.value)
    write_tar(root / "part.tar", {"a/x_a.avi": clip, "a/x_a.txt": b"b", "a/x_a.json": b"[1]"})
    with pytest.raises(InputError, match=r"a/x_a\.avi: a JSON list, expected an object"):
        find_files(root, attrs.evolve(data, captions="text"))
    (root / "part.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(InputError, match=r"part\.tar is no whole tar .*: expected an uncompressed tar"):
        find_files(root, data)


@pytest.mark.parametrize(("path", "split"), [
    ("train_0.tar", "train"),
    ("train-00000-of-00002.tar", "train"),
    ("data/validation.tar", "validation"),
    ("test/part-0.tar", "test"),
    ("test/trained.tar", "test"),
    ("part_train.tar", ""),
])  # fmt: skip
def test_the_split_is_what_a_name_begins_with_or_a_folder(path: str, split: str, tmp_path: Path) -> None:
    write_tar(tmp_path / path, {"walk/ann_walk.avi": b"clip"})
    (file,) = find_files(tmp_path, recipe_of(tmp_path, source="webdataset").data)
    assert (file.name, file.attributes) == (f"{path}/walk/ann_walk.avi", {"split": split})


def test_an_error_of_who_reads_a_copy_is_its_own(clips: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "part.tar", {CLIPS[0]: (clips / "clips" / CLIPS[0]).read_bytes()})
    (file,) = find_files(tmp_path, recipe_of(tmp_path, source="webdataset").data)
    with pytest.raises(OSError, match="a disk of the reader"), extracted(file) as local:
        raise OSError("a disk of the reader")
    assert not local.path.exists()


def test_an_autoencoder_learns_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.source: got 'webdataset', expected 'folder'"):
        Pictures(recipe_of(tmp_path, source="webdataset").data)


def features(labels: list[str] | None = None) -> dict[bytes, bytes]:
    found: dict[str, Any] = {"clip": {"_type": "Video"}}
    if labels:
        found["label"] = {"_type": "ClassLabel", "names": labels}
    return {b"huggingface": json.dumps({"info": {"features": found}}).encode()}


@pytest.mark.parametrize("kind", ["parquet", "saved", "paths"])
def test_tables_are_read_as_folders(kind: str, clips: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'datasets' is not installed")
    from pyarrow import ipc, parquet

    def media(name: str) -> Any:
        path = clips / "clips" / name
        return (
            {"bytes": None, "path": str(path)}
            if kind == "paths"
            else {"bytes": path.read_bytes(), "path": None}
        )

    rows = {
        "clip": [media(name) for name in CLIPS],
        "label": [0, 0, 0, 1, 1, 1],
        "text": [[f"{name} is shown"] for name in CLIPS],
        "who": [Path(name).name.split("_")[0] for name in CLIPS],
    }
    table = pyarrow.table(rows).replace_schema_metadata(features(["stand", "walk"]))
    folder = tmp_path / "stored/train" if kind == "saved" else tmp_path / "stored/data"
    folder.mkdir(parents=True)
    if kind == "saved":  # as save_to_disk writes it
        (tmp_path / "stored/dataset_dict.json").write_text('{"splits": ["train"]}')
        with ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as stream:
            for batch in table.to_batches(max_chunksize=4):
                stream.write_batch(batch)
    else:
        parquet.write_table(table, folder / "train-00000-of-00001.parquet", row_group_size=4)
    for captions in ("class", "metadata"):
        recipe = recipe_of(
            tmp_path, source="datasets", captions=captions, holdout_by="who", latents=str(tmp_path / captions)
        )
        manifest = encode(recipe.data, recipe.codec, tmp_path / "stored", pooled)
        assert not manifest.skipped
        assert_same_rows(tmp_path / captions, clips / "latents")
        assert [s.actor for s in manifest.sequences] == ["ann", "bob", "eve"] * 2
        assert [s.attributes["split"] for s in manifest.sequences] == ["train"] * 6
        if captions == "class":
            assert [s.action for s in manifest.sequences] == ["stand"] * 3 + ["walk"] * 3
        else:
            assert manifest.sequences[4].captions == (f"{CLIPS[4]} is shown",)


def test_rows_of_a_table_are_read_in_any_order(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'datasets' is not installed")
    from pyarrow import parquet

    values = [bytes([number]) * 3 for number in range(23)]
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"image": values}), path, row_group_size=7)
    for row in [0, 1, 5, 6, 7, 22, 3, 20, 14]:
        assert value_at(path, "parquet", "image", row) == values[row]
    with pytest.raises(InputError, match="is not the table that it was"):
        value_at(path, "parquet", "image", 23)


def test_stills_in_a_table_have_the_ending_of_their_content(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'datasets' is not installed")
    from pyarrow import parquet

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8))
    stored = {}
    for name in ("PNG", "JPEG", "WEBP", "BMP"):
        buffer = io.BytesIO()
        picture.save(buffer, name)
        stored[name] = buffer.getvalue()
    (tmp_path / "stored").mkdir()
    table = pyarrow.table({"image": list(stored.values()), "caption": list(stored)})
    parquet.write_table(table, tmp_path / "stored/a.parquet")
    data = recipe_of(
        tmp_path, source="datasets", captions="metadata", holdout=[], frames=1, crop="centre"
    ).data
    files = find_files(tmp_path / "stored", data)
    assert [file.captions for file in files] == [(name,) for name in stored]
    for file, suffix in zip(files, (".png", ".jpg", ".webp", ".bmp"), strict=True):
        with extracted(file) as local:
            assert local.path.suffix == suffix
            assert local == attrs.evolve(file, path=local.path)
        assert not local.path.exists()
    recipe = recipe_of(tmp_path)
    assert len(encode(data, recipe.codec, tmp_path / "stored", pooled).sequences) == 4
    assert Windows(tmp_path / "latents").draw(generator(0, 0, 0))
    parquet.write_table(pyarrow.table({"sound": ["x"]}), tmp_path / "stored/a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet has the columns sound: expected one of clips"):
        find_files(tmp_path / "stored", data)
    (tmp_path / "stored/a.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match=r"a\.parquet is no whole table"):
        find_files(tmp_path / "stored", data)
