"""ShardRows on the disk: read back as the safetensors library reads them, checked, with few open files, of both formats."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
from safetensors.numpy import load_file

from jvid.errors import InputError
from jvid_training.data import latents
from jvid_training.data import shards as shards_module
from jvid_training.data.latents import encode
from jvid_training.data.manifest import load_manifest
from jvid_training.data.sequences import Sequence, Sequences
from jvid_training.data.shards import RowWriter, ShardRows, Shards
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from tests.training_tools import as_format_1, pooled, prepare


def write(path: Path, rows: np.ndarray) -> str:
    writer = RowWriter(path, rows.dtype, rows.shape[1:])
    for first in range(0, len(rows), 3):
        writer.append(rows[first : first + 3])
    return writer.close()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_rows_are_those_of_the_library(tmp_path: Path, dtype: type) -> None:
    rows = (np.random.default_rng(0).standard_normal((7, 3, 5)) * 50).astype(dtype)
    digest = write(tmp_path / "a.latents.safetensors", rows)
    np.testing.assert_array_equal(load_file(tmp_path / "a.latents.safetensors")["rows"], rows)
    shards = Shards(tmp_path, {"a.latents": digest})
    np.testing.assert_array_equal(shards.read("a", "latents", 2, 4), rows[2:6])
    assert shards.row_shape("a", "latents") == (3, 5)
    with pytest.raises(InputError, match=r"7 rows, expected at least 8\): delete a\.json"):
        shards.read("a", "latents", 5, 3)
    with pytest.raises(InputError, match="its checksums are not those of the manifest"):
        Shards(tmp_path, {"a.latents": write(tmp_path / "b.safetensors", rows[::-1])}).read(
            "a", "latents", 0, 1
        )


def test_every_flipped_bit_is_found_and_named(tmp_path: Path) -> None:
    rows = np.arange(60, dtype=np.uint8).reshape(5, 12)
    path = tmp_path / "a.frames.safetensors"
    digest = write(path, rows)
    whole = path.read_bytes()
    found = set()
    for byte in range(len(whole)):
        path.write_bytes(whole[:byte] + bytes([whole[byte] ^ 4]) + whole[byte + 1 :])
        with pytest.raises(
            InputError, match=r"a\.frames\.safetensors.* is damaged \(.*delete a\.json"
        ) as caught:
            Shards(tmp_path, {"a.frames": digest}).read("a", "frames", 0, 5, "walk/ann.avi")
        assert "\n" not in str(caught.value)
        if "of clip walk/ann.avi is damaged (row" in str(caught.value):
            found.add(str(caught.value).split("row ")[1].split()[0])
    assert found == {"0", "1", "2", "3", "4"}


def test_a_number_of_files_is_open_that_does_not_grow(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / f"s{number}.latents.safetensors", np.full((2, 3), number, np.float32))
    shards = Shards(tmp_path, open_files=4)
    before = len(os.listdir("/proc/self/fd"))
    for number in [*range(12), *range(12)]:
        assert shards.read(f"s{number}", "latents", 1, 1).tolist() == [[number] * 3]
        assert len(os.listdir("/proc/self/fd")) - before <= 4
    assert pickle.loads(pickle.dumps(shards)).read("s3", "latents", 0, 1).tolist() == [[3.0] * 3]
    shards.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_rows_of_several_shards_come_in_the_order_of_the_request(tmp_path: Path, monkeypatch) -> None:
    """Also where files are opened again, by what was known of them, and where that is forgotten."""
    rows = {
        name: np.random.default_rng(k).standard_normal((6, 2, 3), np.float32) for k, name in enumerate("abc")
    }
    for name, values in rows.items():
        write(tmp_path / f"{name}.latents.safetensors", values)
    places = [ShardRows(name, first, 2) for first in (4, 0, 3) for name in "cab"]
    expected = np.stack([rows[place.shard][place.first :][:2] for place in places])
    for known in (0, shards_module._KNOWN_ROWS):
        monkeypatch.setattr(shards_module, "_KNOWN_ROWS", known)
        with Shards(tmp_path, open_files=1) as shards:
            for _ in range(2):
                np.testing.assert_array_equal(shards.read_all("latents", places, str), expected)
            assert len(shards._closed) == (2 if known else 0)
            assert shards._closed_rows == (12 if known else 0)

    # A file that was closed meanwhile is compared with the checksums that it had.
    with Shards(tmp_path, open_files=1) as shards:
        shards.read_all("latents", places, str)
        write(tmp_path / "a.latents.safetensors", rows["b"])
        with pytest.raises(InputError, match=r"a.latents.safetensors of clip 4 .*row 0 is not the bytes"):
            shards.read_all("latents", places, str)


def test_columns_give_the_sequences_back() -> None:
    listed = [
        Sequence("b/ä.avi", "b", "ann", 0, False, 0, 9, "s0", ("a b", "c"), {"hair": "red", "n": 2}),
        Sequence("b/ä.avi", "b", "ann", 1, True, 9, 8, "s0", ("a b", "c"), {"hair": "red", "n": 2}),
        Sequence("a/x.avi", "a", "bob", 0, False, 0, 7, "s1"),
    ]
    kept = Sequences.of(listed)
    again = Sequences.of_arrays(kept.arrays())
    assert list(again) == listed == again[0:3]
    assert (again == kept, again[-1], len(again)) == (True, listed[2], 3)
    assert [each.clip for each in again.of_clips()] == ["b/ä.avi", "a/x.avi"]
    assert list(again.captions()) == ["a b", "c"]
    assert kept != Sequences.of(listed[:2])
    for name, change in (("of_clip", 9), ("shard", -1), ("action", 5)):
        arrays = {**kept.arrays(), name: kept.arrays()[name] + np.int32(change)}
        with pytest.raises(ValueError, match="out of range"):
            Sequences.of_arrays(arrays)


def test_windows_are_those_that_a_list_of_all_would_give(tmp_path: Path) -> None:
    """Windows are counted, and the same are drawn as when each was an object of a list."""
    prepare(tmp_path)
    windows = Windows(tmp_path / "latents")
    listed: dict[str, list[tuple[Sequence, int]]] = {}
    for sequence in windows.sequences:
        listed.setdefault(sequence.action, []).extend(
            (sequence, start) for start in range(sequence.length - windows.length + 1)
        )
    assert len(windows) == sum(map(len, listed.values()))
    actions = sorted(listed)
    for place in range(300):
        mine, theirs = generator(3, 1, place), generator(3, 1, place)
        window = windows.draw(mine)
        action = listed[actions[theirs.integers(len(actions))]]
        assert (window.sequence, window.start) == action[theirs.integers(len(action))]
        assert mine.random() == theirs.random()


def test_an_encoding_of_format_1_gives_the_same_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latents, "SHARD_FRAMES", 1)  # a shard for each clip
    recipe = prepare(tmp_path)
    shutil.copytree(tmp_path / "latents", tmp_path / "old")
    as_format_1(tmp_path / "old")
    assert not list((tmp_path / "old").glob("*.safetensors"))
    new, old = Windows(tmp_path / "latents"), Windows(tmp_path / "old")
    assert (new.manifest.mean, new.manifest.std) == (old.manifest.mean, old.manifest.std)
    for place in range(20):
        one, two = new.draw(generator(0, 0, place)), old.draw(generator(0, 0, place))
        assert one.sequence == two.sequence
        np.testing.assert_array_equal(new.latents(one), old.latents(two))
        np.testing.assert_array_equal(new.video(one), old.video(two))
    # One that was interrupted goes on in the new format, with what is finished in the old one.
    before = load_manifest(tmp_path / "old")
    for name in ("manifest.json", "shard-00002.json", "shard-00002.latents.npy", "shard-00002.frames.npy"):
        (tmp_path / "old" / name).unlink()
    again = encode(
        attrs.evolve(recipe.data, latents=str(tmp_path / "old")), recipe.codec, tmp_path / "clips", pooled
    )
    assert [(s.clip, s.flip) for s in again.sequences] == [(s.clip, s.flip) for s in before.sequences]
    assert (again.mean, again.std) == (before.mean, before.std)
    assert list((tmp_path / "old").glob("*.npy"))
    assert list((tmp_path / "old").glob("shard-*.safetensors"))


def test_statistics_do_not_depend_on_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = prepare(tmp_path)
    whole = load_manifest(tmp_path / "latents")
    monkeypatch.setattr(latents, "SHARD_FRAMES", 1)
    other = attrs.evolve(recipe.data, latents=str(tmp_path / "other"))
    parts = encode(other, recipe.codec, tmp_path / "clips", pooled)
    assert len(parts.shards) > len(whole.shards) == 2
    assert (parts.mean, parts.std) == (whole.mean, whole.std)
    assert [attrs.evolve(s, shard="", offset=0) for s in parts.sequences] == [
        attrs.evolve(s, shard="", offset=0) for s in whole.sequences
    ]


def test_a_damaged_index_is_reported(tmp_path: Path) -> None:
    prepare(tmp_path)
    index = tmp_path / "latents/index.safetensors"
    content = index.read_bytes()
    index.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=r"index\.safetensors is damaged .*delete manifest\.json"):
        load_manifest(tmp_path / "latents")
    (tmp_path / "latents/manifest.json").unlink()
    recipe = prepare(tmp_path)
    assert load_manifest(Path(recipe.data.latents)).sequences
